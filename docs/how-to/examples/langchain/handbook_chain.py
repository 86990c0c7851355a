import re
from operator import itemgetter
from pathlib import Path
from zlib import crc32

from extractive import best_sentence
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.language_models import LLM
from langchain_core.prompts import PromptTemplate
from langchain_core.runnables import RunnablePassthrough
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_text_splitters import RecursiveCharacterTextSplitter


class BagOfWords(Embeddings):
    """Vectors that need no model: near where words are shared."""

    def embed_documents(self, texts):
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text):
        vector = [0.0] * 512
        for word in re.findall(r"\w{5,}", text.lower()):
            vector[crc32(word.encode()) % 512] += 1.0
        return vector


class Extractive(LLM):
    _llm_type = "extractive"

    def _call(self, prompt, stop=None, run_manager=None, **kwargs):
        return best_sentence(prompt)


def make_chain(folder: Path, root: Path):
    documents = [
        Document(path.read_text(encoding="utf-8"), metadata={"source": path.relative_to(root).as_posix()})
        for path in sorted(folder.glob("*.md"))
    ]
    chunks = RecursiveCharacterTextSplitter(chunk_size=800, chunk_overlap=0).split_documents(documents)
    store = InMemoryVectorStore(BagOfWords())
    store.add_documents(chunks)
    retriever = store.as_retriever(search_kwargs={"k": 4})
    prompt = PromptTemplate.from_template("{passages}\n\nQuestion: {input}")
    answer = RunnablePassthrough.assign(passages=join_passages) | prompt | Extractive()
    return RunnablePassthrough.assign(context=itemgetter("input") | retriever).assign(answer=answer)


def join_passages(found):
    return "\n\n".join(document.page_content for document in found["context"])
