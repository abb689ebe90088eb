// The official OpenAI SDK, unmodified, asks the gateway as it would ask OpenAI. openai_test.py runs it:
// BASE_URL, SECRET, ENDPOINTS (/metrics of the two that serve "assistant"), FRAGILE_PID, DEAD_PORT.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import OpenAI, {
  APIConnectionError, APIConnectionTimeoutError, APIError, APIUserAbortError, AuthenticationError, BadRequestError,
  InternalServerError, NotFoundError, PermissionDeniedError, RateLimitError,
} from 'openai';

const { BASE_URL, SECRET, ENDPOINTS, FRAGILE_PID, DEAD_PORT } = process.env;
const LONG = 100_000; // tokens: half an hour

// A client with this key. Its own retries are off where a test is about one answer.
function client(key = 'team', more = {}) {
  return new OpenAI({ baseURL: BASE_URL, apiKey: `${key}.${SECRET}`, maxRetries: 0, timeout: 60_000, ...more });
}
const chat = (more = {}) => ({ model: 'assistant', messages: [{ role: 'user', content: 'How far?' }], ...more });

// What the engines count, over both.
async function engines(name) {
  let sum = 0;
  for (const url of ENDPOINTS.split(' ')) {
    const text = await (await fetch(url)).text();
    for (const line of text.split('\n')) if (line.startsWith(name)) sum += Number(line.split(' ').pop());
  }
  return sum;
}
const aborted = () => engines('vllm:request_success_total{model_name="lab-model",finished_reason="abort"}');

async function until(what, holds) {
  for (let tries = 0; tries < 1500; ++tries) {
    if (await holds()) return;
    await sleep(20);
  }
  assert.fail(`waited in vain for: ${what}`);
}

async function failure(promise, kind) {
  const error = await promise.then(() => assert.fail('it did not fail'), (thrown) => thrown);
  assert.ok(error instanceof kind, `${error.constructor.name}, not ${kind.name}: ${error.message}`);
  return error;
}

test('chat, plain', async () => {
  const answer = await client().chat.completions.create(chat({ max_tokens: 3 }));
  assert.equal(answer.choices[0].message.content, '1 2 3 ');
  assert.equal(answer.usage.completion_tokens, 3);
  assert.match(answer._request_id, /^[0-9a-f]{32}$/);
});

test('chat, by an alias', async () => {
  const answer = await client().chat.completions.create(chat({ model: 'gpt-4o-mini', max_tokens: 1 }));
  assert.equal(answer.choices[0].message.content, '1 ');
});

test('chat, streamed', async () => {
  const stream = await client().chat.completions.create(
    chat({ max_tokens: 5, stream: true, stream_options: { include_usage: true } }));
  let text = '', usage, finish;
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta?.content ?? '';
    finish = chunk.choices[0]?.finish_reason ?? finish;
    usage = chunk.usage ?? usage;
  }
  assert.deepEqual([text, finish, usage.completion_tokens], ['1 2 3 4 5 ', 'length', 5]);
});

test('chat, streamed, with a key metered by tokens: the usage event that it did not ask for is not there', async () => {
  const chunks = [];
  for await (const chunk of await client('metered').chat.completions.create(chat({ max_tokens: 3, stream: true })))
    chunks.push(chunk);
  assert.equal(chunks.map((chunk) => chunk.choices[0].delta.content ?? '').join(''), '1 2 3 ');
});

test("chat, by the SDK's stream helper", async () => {
  const stream = client().chat.completions.stream(chat({ max_tokens: 4 }));
  assert.equal((await stream.finalMessage()).content, '1 2 3 4 ');
});

test('completions', async () => {
  const answer = await client().completions.create({ model: 'assistant', prompt: 'hey', max_tokens: 2 });
  assert.equal(answer.choices[0].text, '1 2 ');
});

test('embeddings, which the SDK asks for packed and unpacks', async () => {
  const asked = { model: 'assistant', input: ['one', 'two'], dimensions: 8 };
  const unpacked = await client().embeddings.create(asked);
  const plain = await client().embeddings.create({ ...asked, encoding_format: 'float' });
  assert.deepEqual(unpacked.data.map((entry) => entry.embedding), plain.data.map((entry) => entry.embedding));
  assert.equal(plain.data[1].embedding.length, 8);
});

test('responses, plain', async () => {
  const answer = await client().responses.create({ model: 'assistant', input: 'How far?', max_output_tokens: 3 });
  assert.deepEqual([answer.output_text, answer.status, answer.usage.output_tokens], ['1 2 3 ', 'completed', 3]);
});

test('responses, streamed', async () => {
  const types = new Set();
  let text = '', number = 0;
  const asked = { model: 'assistant', input: 'How far?', max_output_tokens: 3, stream: true };
  for await (const event of await client().responses.create(asked)) {
    assert.equal(event.sequence_number, number++);
    types.add(event.type);
    text += event.type === 'response.output_text.delta' ? event.delta : '';
  }
  assert.equal(text, '1 2 3 ');
  for (const type of ['response.created', 'response.completed']) assert.ok(types.has(type), type);
});

test("responses, by the SDK's stream helper", async () => {
  const stream = client().responses.stream({ model: 'assistant', input: 'How far?', max_output_tokens: 2 });
  assert.equal((await stream.finalResponse()).output_text, '1 2 ');
});

test('responses stay where they were made', async () => {
  const made = await client().responses.create({ model: 'assistant', input: 'How far?', max_output_tokens: 2 });
  for (let i = 0; i < 5; ++i) {  // only one of the two endpoints knows it
    assert.equal((await client().responses.retrieve(made.id)).id, made.id);
    const more = { model: 'assistant', input: 'And back?', max_output_tokens: 1, previous_response_id: made.id };
    assert.equal((await client().responses.create(more)).status, 'completed');
  }
  await failure(client('metered').responses.retrieve(made.id), NotFoundError); // another's
  await client().responses.delete(made.id);
  await failure(client().responses.retrieve(made.id), NotFoundError);
});

test('models', async () => {
  const names = [];
  for await (const model of client().models.list()) names.push(model.id);
  assert.deepEqual(names, ['assistant', 'fragile']);
  assert.equal((await client().models.retrieve('assistant')).id, 'assistant');
  await failure(client().models.retrieve('nobody'), NotFoundError);
});

test('ten streams at once, then ten more over the same connections', async () => {
  const one = client('team', { maxRetries: 2 }); // as the SDK has it: its own limit to connect is 10 s
  const ten = () => Promise.all(Array.from({ length: 10 }, async () => {
    let text = '';
    for await (const chunk of await one.chat.completions.create(chat({ max_tokens: 10, stream: true })))
      text += chunk.choices[0]?.delta?.content ?? '';
    return text;
  }));
  assert.deepEqual(new Set([...await ten(), ...await ten()]), new Set(['1 2 3 4 5 6 7 8 9 10 ']));
});

test('a prompt longer than the gateway holds', async () => {
  const answer = await client().chat.completions.create(
    chat({ messages: [{ role: 'user', content: 'x'.repeat(2_000_000) }], max_tokens: 1 }), { timeout: 120_000 });
  assert.equal(answer.usage.prompt_tokens, 500_000);
});

test('abort in mid-stream: the endpoint stops generating', async () => {
  const before = await aborted();
  const stream = await client().chat.completions.create(chat({ max_tokens: LONG, stream: true }));
  let seen = 0;
  for await (const chunk of stream) {
    seen += chunk.choices[0]?.delta?.content ? 1 : 0;
    if (seen === 3) stream.controller.abort();
  }
  await until('the cancel at the endpoint', async () => await aborted() === before + 1);
  assert.equal(await engines('vllm:num_requests_running'), 0);
});

test('leaving the loop of a stream is an abort too', async () => {
  const before = await aborted();
  for await (const chunk of await client().chat.completions.create(chat({ max_tokens: LONG, stream: true })))
    if (chunk.choices[0]?.delta?.content) break;
  await until('the cancel at the endpoint', async () => await aborted() === before + 1);
});

test('abort before the first octet of a plain answer', async () => {
  const before = await aborted();
  const abort = new AbortController();
  const asked = client().chat.completions.create(chat({ max_tokens: LONG }), { signal: abort.signal });
  const failed = failure(asked, APIUserAbortError);
  await until('the request at the endpoint', async () => await engines('vllm:num_requests_running') === 1);
  abort.abort();
  await failed;
  await until('the cancel at the endpoint', async () => await aborted() === before + 1);
});

test("the client's own time-out", async () => {
  const before = await aborted();
  const asked = client('team', { timeout: 500 }).chat.completions.create(chat({ max_tokens: LONG }));
  await failure(asked, APIConnectionTimeoutError);
  await until('the cancel at the endpoint', async () => await aborted() === before + 1);
});

test('AuthenticationError', async () => {
  for (const apiKey of ['team.wrongwrongwrongwrongwrong', `nobody.${SECRET}`, 'sk-1']) {
    const error = await failure(client('', { apiKey }).chat.completions.create(chat()), AuthenticationError);
    assert.deepEqual([error.status, error.code, error.type], [401, 'invalid_api_key', 'invalid_request_error']);
    assert.ok(!error.message.includes('wrongwrong'), error.message);
  }
});

test('NotFoundError', async () => {
  const error = await failure(client().chat.completions.create(chat({ model: 'gpt-9' })), NotFoundError);
  assert.deepEqual([error.code, error.param, error.type], ['model_not_found', 'model', 'invalid_request_error']);
  assert.match(error.requestID, /^[0-9a-f]{32}$/);
  await failure(client().files.list(), NotFoundError); // a path that is not served
});

test('BadRequestError, of the endpoint and of the gateway', async () => {
  const theirs = await failure(client().chat.completions.create(chat({ max_tokens: 0 })), BadRequestError);
  assert.match(theirs.message, /max_tokens/);
  const ours = await failure(client().chat.completions.create({ messages: [] }), BadRequestError);
  assert.deepEqual([ours.code, ours.param], ['missing_model', 'model']);
});

test('PermissionDeniedError', async () => {
  await failure(client('elsewhere').chat.completions.create(chat()), PermissionDeniedError);
});

test('RateLimitError', async () => {
  await client('slow').chat.completions.create(chat({ max_tokens: 1 }));
  const error = await failure(client('slow').chat.completions.create(chat({ max_tokens: 1 })), RateLimitError);
  assert.equal(error.code, 'rate_limit_exceeded');
  assert.equal(error.headers.get('x-ratelimit-limit-requests'), '1');
  assert.ok(Number(error.headers.get('retry-after')) > 0);
});

test('APIConnectionError', async () => {
  const nobody = client('team', { baseURL: `https://localhost:${DEAD_PORT}/v1` });
  await failure(nobody.chat.completions.create(chat()), APIConnectionError);
  const named = client('team', { baseURL: BASE_URL.replace('localhost', '127.0.0.1') }); // not in the certificate
  await failure(named.chat.completions.create(chat()), APIConnectionError);
});

// Counts what the SDK sends, by the place that it gives for a fetch of one's own.
function counted(key, more) {
  const sent = [];
  const watched = (url, init) => {
    sent.push(new Headers(init.headers).get('x-stainless-retry-count'));
    return fetch(url, init);
  };
  return [client(key, { fetch: watched, ...more }), sent];
}

test('it tries again by itself once told when, and is served', async () => {
  const abort = new AbortController();
  const asked = chat({ max_tokens: LONG, stream: true });
  const stream = await client('single').chat.completions.create(asked, { signal: abort.signal });
  await stream[Symbol.asyncIterator]().next(); // holds the one place of this key
  const [one, sent] = counted('single', { maxRetries: 5 });
  const answer = one.chat.completions.create(chat({ max_tokens: 1 }));
  await until('a second try', () => sent.length >= 2);
  abort.abort();
  assert.equal((await answer).choices[0].message.content, '1 ');
  assert.deepEqual(sent.slice(0, 2), ['0', '1']);
});

test('it does not try again what can never pass', async () => {
  const [one, sent] = counted('small', { maxRetries: 5 });
  await failure(one.chat.completions.create(chat({ max_tokens: 50 })), RateLimitError);
  assert.equal(sent.length, 1);
});

test('an endpoint that dies in mid-stream ends in an error, and then there is none', async () => {
  const stream = await client().chat.completions.create(chat({ model: 'fragile', max_tokens: LONG, stream: true }));
  const typed = await client().responses.create(
    { model: 'fragile', input: 'How far?', max_output_tokens: LONG, stream: true });
  const typedBroken = failure((async () => { for await (const event of typed) assert.ok(event.type); })(), APIError);
  let seen = 0;
  const read = async () => {
    for await (const chunk of stream)
      if (chunk.choices[0]?.delta?.content && ++seen === 3) process.kill(Number(FRAGILE_PID), 'SIGKILL');
  };
  const broken = await failure(read(), APIError);
  assert.deepEqual([broken.code, (await typedBroken).code], ['endpoint_broke_off', 'endpoint_broke_off']);
  assert.ok(seen >= 3);
  const [one, sent] = counted('team', { maxRetries: 2 });
  const error = await failure(one.chat.completions.create(chat({ model: 'fragile' })), InternalServerError);
  assert.ok(error.status >= 502, `${error.status}`);
  assert.equal(sent.length, 3);
});
