// One streamed chat completion by the official OpenAI SDK; what comes of it as JSON lines. routed.py runs it:
//   node sdk_call.cjs BASE_URL MODEL TOKENS HEADER      HEADER of the answer names the endpoint
'use strict';
const { OpenAI } = require('openai');

const [baseURL, model, tokens, header] = process.argv.slice(2);
const tell = (record) => console.log(JSON.stringify(record));

async function ask() {
  const client = new OpenAI({ baseURL, apiKey: 'none' });
  const { data, response } = await client.chat.completions
    .create({ model, stream: true, max_tokens: Number(tokens), messages: [{ role: 'user', content: 'How far?' }] })
    .withResponse();
  tell({ status: response.status, endpoint: response.headers.get(header) });
  for await (const { choices: [choice] } of data) {
    if (choice.delta.content) tell({ token: choice.delta.content });
    if (choice.finish_reason) tell({ done: true });
  }
}

ask().catch(({ constructor, status, code, message }) =>
  tell({ error: { class: constructor.name, status, code, message } }));
