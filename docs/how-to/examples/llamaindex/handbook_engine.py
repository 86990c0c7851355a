import re
from pathlib import Path
from zlib import crc32

from extractive import best_sentence
from llama_index.core import Document, VectorStoreIndex
from llama_index.core.embeddings import BaseEmbedding
from llama_index.core.llms import CompletionResponse, CustomLLM, LLMMetadata
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.prompts import PromptTemplate


class BagOfWords(BaseEmbedding):
    """Vectors that need no model: near where words are shared."""

    def _get_text_embedding(self, text):
        vector = [0.0] * 512
        for word in re.findall(r"\w{5,}", text.lower()):
            vector[crc32(word.encode()) % 512] += 1.0
        return vector

    def _get_query_embedding(self, query):
        return self._get_text_embedding(query)

    async def _aget_query_embedding(self, query):
        return self._get_text_embedding(query)


class Extractive(CustomLLM):
    @property
    def metadata(self):
        return LLMMetadata(model_name="extractive", context_window=100_000)

    def complete(self, prompt, formatted=False, **kwargs):
        return CompletionResponse(text=best_sentence(prompt))

    def stream_complete(self, prompt, formatted=False, **kwargs):
        yield self.complete(prompt)


def make_query_engine(folder: Path, root: Path):
    documents = [
        Document(text=path.read_text(encoding="utf-8"), metadata={"file_path": path.relative_to(root).as_posix()})
        for path in sorted(folder.glob("*.md"))
    ]
    index = VectorStoreIndex.from_documents(
        documents,
        embed_model=BagOfWords(),
        transformations=[SentenceSplitter(chunk_size=256, chunk_overlap=0)],
    )
    template = PromptTemplate("{context_str}\n\nQuestion: {query_str}")
    return index.as_query_engine(llm=Extractive(), similarity_top_k=4, text_qa_template=template)
