from deepeval.models import DeepEvalBaseLLM


class LocalJudge(DeepEvalBaseLLM):
    """Stands for a model of any provider: it finds short texts good."""

    def __init__(self, longest=60):
        self.longest = longest
        super().__init__("local-judge")

    def load_model(self):
        return self

    def get_model_name(self):
        return "local-judge"

    async def a_generate(self, prompt, schema):
        return self.generate(prompt, schema)

    def generate(self, prompt, schema):
        answer = prompt.rpartition("Actual Output:")[2].strip().partition("\n")[0]
        is_short = len(answer) <= self.longest
        return schema(score=9 if is_short else 4, reason="short" if is_short else "too long")
