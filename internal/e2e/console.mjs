// Opens each view of the console in a browser, in light and dark, and checks it.
//
//   node console.mjs BROWSER URL GROUP [SCREENSHOTS]
//
// GROUP is the id of a group with the members mina and a/b?. There is a webhook named keyed.
//
// It exits with 1, and says what was missing, unless each view is as it should be.
import { chromium } from 'playwright-core';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

const [browserPath, url, groupId, screenshots] = process.argv.slice(2);
const patience = 30_000;
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

// The views: what their address is below the console, and a text that they show. act does
// with the page what a person would.
const views = [
  { name: 'overview', path: '', text: 'Deliveries a second', act: renewed },
  { name: 'node', path: '', text: 'Show all nodes', open: (page) => page.getByRole('rowheader').getByRole('link').first().click() },
  { name: 'configuration', path: 'configuration', text: 'MOIM_HTTP_ADDR' },
  { name: 'audit', path: 'audit', text: 'create', act: shown },
  { name: 'groups', path: 'groups', text: 'for the audit log' },
  { name: 'group', path: `groups/${groupId}`, text: 'Ends (UTC)' },
  { name: 'members', path: `groups/${groupId}/members`, text: 'Add members' },
  { name: 'member', path: `groups/${groupId}/member?user=a%2Fb%3F`, text: 'Lift the mute' },
  { name: 'log', path: `groups/${groupId}/log`, text: 'group.created', act: appended },
  { name: 'presence', path: `groups/${groupId}/presence`, text: 'Grace left' },
  { name: 'requests', path: `groups/${groupId}/requests`, text: 'Nobody asks' },
  { name: 'invites', path: `groups/${groupId}/invites`, text: 'Create an invite' },
  { name: 'bans', path: `groups/${groupId}/bans`, text: 'Nobody is banned' },
  { name: 'mutes', path: `groups/${groupId}/mutes`, text: 'Nobody is muted' },
  { name: 'user', path: 'user?id=a%2Fb%3F', text: 'The user has no sockets' },
  { name: 'schedule', path: 'schedule', text: 'No group is to end' },
  { name: 'hooks', path: 'hooks', text: 'keyed' },
  { name: 'hook', path: 'hook?name=keyed', text: 'Nothing is left' },
  { name: 'try', path: 'try', text: 'Make a token', act: tried },
  { name: 'missing', path: 'nowhere', text: 'the console has no such page', fails: true },
];

// renewed waits until the script has renewed the live part.
async function renewed(page) {
  await page.evaluate(() => document.querySelector('#live table').setAttribute('data-old', ''));
  await page.locator('#live [data-old]').waitFor({ state: 'detached' });
}

// shown opens what an entry has changed, and filters by its actor.
async function shown(page) {
  await page.getByText('Show', { exact: true }).first().click();
  await page.getByText('After').first().waitFor();
  await page.getByLabel('Actor').fill('nobody');
  await page.getByLabel('Actor').press('Enter');
  await page.getByText('There are no such entries').waitFor();
  await page.goBack();
}

// appended posts a message in another tab, and waits until the log has it.
async function appended(page) {
  const other = await page.context().newPage();
  await other.goto(new URL('try', url).href);
  const form = other.getByRole('form', { name: 'Post' });
  await form.getByLabel('User id').fill('mina');
  await form.getByLabel('Id of the group').fill(groupId);
  await form.getByLabel('Text').fill('hello from another tab');
  await form.getByRole('button', { name: 'Post' }).click();
  await other.getByText('The message is posted').waitFor();
  await other.close();
  await page.bringToFront();
  await page.getByText('hello from another tab').first().waitFor();
}

// tried makes a token, and follows the group with it.
async function tried(page) {
  const form = page.getByRole('form', { name: 'Token' });
  await form.getByLabel('User id').fill('mina');
  await form.getByLabel('Id of a group').fill(groupId);
  await form.getByRole('button', { name: 'Make a token' }).click();
  await page.getByRole('button', { name: 'Connect and subscribe' }).click();
  await page.locator('#frames').getByText('"version"').first().waitFor();
}

// byKeyboard goes through the console without a mouse: it signs in, and creates, changes and
// deletes a group, a member, an invite, a ban and a webhook's state.
async function byKeyboard() {
  const page = await (await browser.newContext()).newPage();
  page.setDefaultTimeout(patience);

  // goTo presses Tab until a control has the focus, which must be visible.
  async function goTo(control, what) {
    await control.waitFor();
    for (let pressed = 0; pressed < 100; pressed++) {
      await page.keyboard.press('Tab');
      const { here, shown } = await control.evaluate((element) => ({
        here: element === document.activeElement,
        shown: getComputedStyle(element).outlineStyle !== 'none',
      }));
      if (!here) continue;
      check(shown, `${what} shows that it has the focus`);
      return;
    }
    throw new Error(`Tab does not reach ${what}`);
  }
  const press = async (role, name, scope = page) => {
    await goTo(scope.getByRole(role, { name, exact: true }).first(), `the ${role} ${name}`);
    await page.keyboard.press('Enter');
  };
  const type = async (label, text, scope = page) => {
    await goTo(scope.getByLabel(label, { exact: true }), `the field ${label}`);
    await page.keyboard.press('Control+A');
    await page.keyboard.type(text);
  };
  const see = (text) => page.getByText(text).first().waitFor();
  const heading = (name) => page.getByRole('heading', { name, exact: true }).waitFor();

  await page.goto(url);
  await press('button', 'Sign in as developer');
  await heading('Overview');

  await press('link', 'Groups');
  await goTo(page.getByText('Create a group for an owner'), 'the summary');
  await page.keyboard.press('Enter');
  const creation = page.locator('form').filter({ hasText: 'User id of the owner' });
  await type('Name', 'without a mouse', creation);
  await type('User id of the owner', 'kim', creation);
  await press('button', 'Create', creation);
  await heading('without a mouse');

  await type('Name', 'by keyboard', page.getByRole('form', { name: 'Edit' }));
  await press('button', 'Save', page.getByRole('form', { name: 'Edit' }));
  await heading('by keyboard');

  await press('link', 'Members');
  await type('User ids, one on each line', 'lee');
  await press('button', 'Add');
  await press('link', 'lee');
  await press('button', 'Make the owner');
  await page.waitForURL(/members/);
  await press('link', 'kim');
  await press('button', 'Ban');

  await press('link', 'Invites');
  await press('button', 'Create');
  await see('It is shown only now');
  await goTo(page.getByRole('button', { name: /^Revoke / }), 'the button that revokes');
  await page.keyboard.press('Enter');
  await see('The group has no invites');

  await press('link', 'Bans');
  await goTo(page.getByRole('button', { name: /^Lift/ }), 'the button that lifts a ban');
  await page.keyboard.press('Enter');
  await see('Nobody is banned');

  await press('link', 'Hooks');
  await press('link', 'keyed');
  await press('button', 'Disable');
  await press('button', 'Enable');
  await page.getByRole('button', { name: 'Disable' }).waitFor();

  await press('link', 'Groups');
  await press('link', 'by keyboard');
  await type('Type the name or the id of the group', 'by keyboard');
  await press('button', 'Delete');
  await see('deleted');
  await press('button', 'Sign out');
  await see('You have signed out');
}

let failed = false;

function check(holds, what) {
  if (holds) return;
  failed = true;
  console.error(`not true: ${what}`);
}

// axe-core finds what people with a screen reader, a keyboard or weak eyes stumble over.
async function accessible(page, what) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run());
  for (const v of violations.filter(({ impact }) => ['serious', 'critical'].includes(impact))) {
    check(false, `axe finds nothing serious (${what}): ${v.id}: ${v.help}: ${v.nodes.map((n) => n.html).join(' ')}`);
  }
}

async function look(page, name) {
  await accessible(page, name);
  const { scroll, width } = await page.evaluate(() => ({ scroll: document.documentElement.scrollWidth, width: innerWidth }));
  check(scroll <= width, `${name} is not wider than the window: ${scroll} > ${width}`);
  if (screenshots) await page.screenshot({ path: path.join(screenshots, `console-${name}.png`), fullPage: true });
}

const browser = await chromium.launch({ executablePath: browserPath, args: ['--no-sandbox'] });

async function visit(scheme, options) {
  const context = await browser.newContext({ colorScheme: scheme, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(patience);
  let fails = false; // the page is an error page
  page.on('console', (message) => {
    if (message.type() === 'error' && !fails) check(false, `no error in the console: ${message.text()}`);
  });
  page.on('pageerror', (error) => check(false, `no exception: ${error.message}`));
  await page.goto(url);
  await page.getByRole('heading', { name: 'Sign in' }).waitFor();
  await look(page, `sign-in-${scheme}`);
  await page.getByRole('button', { name: 'Sign in as developer' }).click();
  await page.getByRole('heading', { name: 'Overview' }).waitFor();
  for (const view of views) {
    fails = Boolean(view.fails);
    await page.goto(new URL(view.path, url).href);
    if (view.open) await view.open(page);
    await page.getByText(view.text).first().waitFor();
    if (view.act && scheme === 'light') await view.act(page);
    await look(page, `${view.name}-${scheme}`);
  }
  fails = false;
  await page.goto(url);
  return page;
}

try {
  const page = await visit('light');
  const other = await page.context().newPage(); // another tab of the same session
  await other.goto(url);
  await other.getByRole('heading', { name: 'Overview' }).waitFor();
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByText('You have signed out').waitFor();
  await page.waitForURL((at) => !at.search.includes('done=')); // a notice is for once
  await other.getByRole('heading', { name: 'Sign in' }).waitFor();

  // On a telephone.
  await visit('dark', { viewport: { width: 360, height: 740 } });

  await byKeyboard();

  // Without the script, the forms work as well.
  const plain = await (await browser.newContext({ javaScriptEnabled: false })).newPage();
  await plain.goto(url);
  await plain.getByRole('button', { name: 'Sign in as developer' }).click();
  await plain.getByRole('heading', { name: 'Overview' }).waitFor({ timeout: patience });
  await plain.goto(new URL(`groups/${groupId}`, url).href);
  const edit = plain.getByRole('form', { name: 'Edit' });
  await edit.getByLabel('Name').fill('without scripts');
  await edit.getByRole('button', { name: 'Save' }).click();
  await plain.getByRole('heading', { name: 'without scripts' }).waitFor({ timeout: patience });
  await plain.getByText('The change is saved').waitFor({ timeout: patience });
  await plain.getByRole('button', { name: 'Sign out' }).click();
  await plain.getByText('You have signed out').waitFor({ timeout: patience });
} catch (error) {
  check(false, error.stack);
} finally {
  await browser.close();
}
process.exit(failed ? 1 : 0);
