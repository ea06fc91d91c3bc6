// Two windows of examples/web chat in a group, also while its node is down.
//
//   node web.mjs BROWSER URL
//
// The program prints "chatting" and "posted" and waits for a line after each: meanwhile the node is stopped, and started
// again. It exits with 1, and says what was missing, unless each window shows what it should.
import { chromium } from 'playwright-core';
import { createInterface } from 'node:readline';

const [browserPath, url] = process.argv.slice(2);
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const problems = [];

async function told(what) {
  console.log(what);
  await lines.next();
}

const browser = await chromium.launch({ executablePath: browserPath, args: ['--no-sandbox'] });

// A window of its own: nothing is shared with the other but the server.
async function open(address) {
  const page = await (await browser.newContext()).newPage();
  page.setDefaultTimeout(60_000);
  page.on('pageerror', (error) => problems.push(error.stack));
  page.on('console', (message) => {
    if (message.type() === 'error') problems.push(message.text());
  });
  await page.goto(new URL(address, url).href);
  return page;
}

async function say(page, text) {
  await page.getByLabel('Message').fill(text);
  await page.getByRole('button', { name: 'Send' }).click();
  // React empties the form a moment later, and what was typed in between.
  await page.waitForFunction(() => document.querySelector('[aria-label="Message"]').value === '');
}

const status = (page, text) => page.getByRole('status').getByText(text, { exact: true }).waitFor();
const member = (page, name, status) => page.locator(`[data-status="${status}"]`, { hasText: name }).waitFor();
const said = (page) => page.getByRole('listitem').allInnerTexts();

// both waits until both windows show these messages, and no others.
async function both(...texts) {
  for (const page of [ana, bo]) {
    await page.getByText(texts.at(-1), { exact: true }).waitFor();
    const shown = await said(page);
    if (shown.join() !== texts.join()) throw new Error(`a window shows ${shown}; want ${texts}`);
  }
}

let ana, bo;
try {
  ana = await open('/?user=ana');
  await ana.getByLabel('Name of a new group').fill('Tea');
  await ana.getByRole('button', { name: 'Create' }).click();
  await ana.getByRole('heading', { name: 'Tea' }).waitFor();
  const group = new URL(ana.url()).searchParams.get('group');

  bo = await open(`/?group=${group}`);
  await bo.getByLabel('Your name').fill('bo');
  await bo.getByRole('button', { name: 'Sign in' }).click();
  await bo.getByText('You are not in this group: not_member').waitFor();
  await bo.getByRole('button', { name: 'Join' }).click();
  for (const page of [ana, bo]) for (const name of ['ana', 'bo']) await member(page, name, 'online');

  await say(ana, 'hello');
  await both('ana hello');
  await say(bo, 'hi');
  await both('ana hello', 'bo hi');
  if (problems.length > 0) throw new Error('with a node, there is no error');

  await told('chatting');
  for (const page of [ana, bo]) await status(page, 'offline');
  await say(ana, 'one');
  await say(ana, 'two');
  await told('posted');
  for (const page of [ana, bo]) await status(page, 'online');
  await both('ana hello', 'bo hi', 'ana one', 'ana two');
  await say(bo, 'three');
  const all = ['ana hello', 'bo hi', 'ana one', 'ana two', 'bo three'];
  await both(...all);
  for (const page of [ana, bo]) for (const name of ['ana', 'bo']) await member(page, name, 'online');
  await bo.context().close();
  await member(ana, 'bo', 'reconnecting');
  bo = await open(`/?user=bo&group=${group}`); // older messages are there
  await both(...all);

  await ana.goto(new URL('/?user=ana', url).href);
  await ana.getByRole('link', { name: 'Tea' }).waitFor();
} catch (error) {
  console.error(error.stack, ...problems);
  process.exitCode = 1;
} finally {
  await browser.close();
}
process.exit();
