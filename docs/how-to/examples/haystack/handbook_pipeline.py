from pathlib import Path

from extractive import best_sentence
from haystack import Document, Pipeline, component
from haystack.components.builders import PromptBuilder
from haystack.components.preprocessors import DocumentSplitter
from haystack.components.retrievers.in_memory import InMemoryBM25Retriever
from haystack.document_stores.in_memory import InMemoryDocumentStore

TEMPLATE = "{% for document in documents %}{{ document.content }}\n{% endfor %}\nQuestion: {{ question }}"


@component
class Extractive:
    @component.output_types(replies=list[str])
    def run(self, prompt: str):
        return {"replies": [best_sentence(prompt)]}


def make_pipeline(folder: Path, root: Path):
    documents = [
        Document(content=path.read_text(encoding="utf-8"), meta={"file_path": path.relative_to(root).as_posix()})
        for path in sorted(folder.glob("*.md"))
    ]
    store = InMemoryDocumentStore()
    store.write_documents(DocumentSplitter(split_by="passage", split_length=4).run(documents)["documents"])
    pipeline = Pipeline()
    pipeline.add_component("retriever", InMemoryBM25Retriever(store, top_k=4))
    pipeline.add_component("prompt", PromptBuilder(TEMPLATE, required_variables=["documents", "question"]))
    pipeline.add_component("generator", Extractive())
    pipeline.connect("retriever.documents", "prompt.documents")
    pipeline.connect("prompt.prompt", "generator.prompt")
    return pipeline
