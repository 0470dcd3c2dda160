// Lets the agent ask the people who gave it the issue. They are reached over pi's own way for dialogs: the
// question is the title, and the answers that it offers are a JSON list where a terminal would show a hint.

const description =
  "Ask a person for a decision that you cannot make from the repository and the issue, and wait for the answer. " +
  "It may take long: ask only what you need, and all of it at once.";

const option = {
  type: "object",
  properties: { label: { type: "string" }, description: { type: "string" } },
  required: ["label"],
};
const part = {
  type: "object",
  properties: {
    question: { type: "string", description: "What you need to know" },
    header: { type: "string", description: "The same in a word or two" },
    options: { type: "array", items: option, description: "Answers to choose from, if there are some" },
  },
  required: ["question"],
};

export default function (pi: any) {
  pi.registerTool({
    name: "question",
    label: "Question",
    description,
    parameters: {
      type: "object",
      properties: { questions: { type: "array", items: part, minItems: 1 } },
      required: ["questions"],
    },
    async execute(_call: string, input: any, _signal: unknown, _update: unknown, context: any) {
      const text = input.questions.map((each: any) => each.question).join("\n");
      const labels = input.questions.flatMap((each: any) => (each.options ?? []).map((offer: any) => offer.label));
      const answer = await context.ui.input(text, JSON.stringify(labels));
      const told = answer === undefined ? "Nobody answered. Decide yourself, and say how." : `The answer: ${answer}`;
      return { content: [{ type: "text", text: told }], details: {} };
    },
  });
}
