// The cases of the conformance suite, asked by OpenAI's own JavaScript client.
//
//     node conformance.mjs < suite.json        one line of JSON for each case: what came of it
//
// suite.json: {"upstream": URL, "cases": [{"base_url", "key", "call", "params", "extra"}]}. Nothing is judged here:
// server_conformance.py holds these lines and those of the Python client against the same expectations.

import { readFileSync } from "node:fs";
import OpenAI from "openai";

const CALLS = {
  chat: (client, params) => client.chat.completions.create(params),
  completions: (client, params) => client.completions.create(params),
  models: async (client) => {
    const ids = [];
    for await (const model of client.models.list()) ids.push(model.id);
    return { ids };
  },
  model: (client, params) => client.models.retrieve(params.model),
};

const choiceOf = (index) => ({ index, content: "", reasoning: "", tool_calls: [], finish_reason: null, tokens: null });
const toolCall = (call) => ({ name: call.function.name, arguments: call.function.arguments });
const tokensOf = (logprobs) =>
  logprobs ? (logprobs.tokens ?? logprobs.content?.map((one) => one.token) ?? null) : null;

function whole(said) {
  const choices = (said.choices ?? []).map((choice) => ({
    ...choiceOf(choice.index),
    content: choice.text ?? choice.message.content,
    reasoning: choice.message?.reasoning ?? "",
    tool_calls: (choice.message?.tool_calls ?? []).map(toolCall),
    finish_reason: choice.finish_reason,
    tokens: tokensOf(choice.logprobs),
  }));
  return { ...said, choices };
}

async function streamed(stream) {
  const found = { choices: [], usage: null, nlrl: null, chunks: 0, usage_chunks: 0 };
  for await (const chunk of stream) {
    found.chunks += 1;
    found.id ??= chunk.id;
    found.object ??= chunk.object;
    found.model ??= chunk.model;
    found.nlrl = chunk.nlrl ?? found.nlrl;
    if (chunk.usage) {
      found.usage = chunk.usage;
      found.usage_chunks += 1;
    }
    for (const piece of chunk.choices) {
      const choice = (found.choices[piece.index] ??= choiceOf(piece.index));
      choice.content += piece.text ?? piece.delta?.content ?? "";
      choice.reasoning += piece.delta?.reasoning ?? "";
      choice.tool_calls.push(...(piece.delta?.tool_calls ?? []).map(toolCall));
      choice.finish_reason = piece.finish_reason ?? choice.finish_reason;
      const tokens = tokensOf(piece.logprobs);
      if (tokens) choice.tokens = [...(choice.tokens ?? []), ...tokens];
    }
  }
  return found;
}

async function ask({ base_url, key, call, params, extra }) {
  const client = new OpenAI({ baseURL: base_url, apiKey: key, maxRetries: 0, timeout: 60_000 });
  try {
    const said = await CALLS[call](client, { ...params, ...extra });
    return await (params.stream ? streamed(said) : whole(said));
  } catch (error) {
    if (!(error instanceof OpenAI.APIError)) throw error;
    const { status, code, param, message } = error;
    return { error: { class: error.constructor.name, status, code, param, message } };
  }
}

const { upstream, cases } = JSON.parse(readFileSync(0, "utf8"));
for (const one of cases) {
  const outcome = await ask(one);
  const counted = await (await fetch(`${upstream}/take`)).json();
  console.log(JSON.stringify({ ...outcome, counted }));
}
