// Opens /docs in a browser, tries a call and a socket event, and checks the page.
//
//   node docs.mjs BROWSER URL
//
// It exits with 1, and says what was missing, unless the page does all that it should.
import { chromium } from 'playwright-core';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const [browserPath, url] = process.argv.slice(2);
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const browser = await chromium.launch({ executablePath: browserPath, args: ['--no-sandbox'] });
let failed = false;

function check(holds, what) {
  if (holds) return;
  failed = true;
  console.error(`not true: ${what}`);
}

try {
  const context = await browser.newContext({ colorScheme: 'dark', viewport: { width: 360, height: 740 } });
  const page = await context.newPage();
  page.setDefaultTimeout(30_000);
  page.on('pageerror', (error) => check(false, `no exception: ${error.message}`));
  page.on('console', (message) => message.type() === 'error' && check(false, `no error in the console: ${message.text()}`));
  page.on('request', (request) => check(new URL(request.url()).host === new URL(url).host, `nothing is loaded from elsewhere: ${request.url()}`));
  await page.goto(url);
  await page.getByRole('button', { name: 'Use a development token' }).click();

  const call = page.locator('#create-group');
  await call.locator('summary').focus();
  await page.keyboard.press('Enter');
  await call.getByRole('button', { name: 'Send' }).click();
  await call.getByRole('log').getByText('201').waitFor();
  const { id } = JSON.parse((await call.getByRole('log').textContent()).replace(/^[^\n]*\n/, ''));

  const subscribe = page.locator('[id="event-group.subscribe"]');
  await subscribe.locator('summary').click();
  await subscribe.getByLabel('Data').fill(JSON.stringify({ groupId: id }));
  await subscribe.getByRole('button', { name: 'Send' }).click();
  const wire = page.getByRole('log', { name: 'Messages of the socket' });
  await wire.getByText('"version":1').waitFor();

  const width = await page.evaluate(() => document.documentElement.scrollWidth);
  check(width <= 360, `nothing is wider than a telephone: ${width}`);
  check((await page.evaluate(() => localStorage.length + sessionStorage.length + document.cookie.length)) === 0, 'nothing is stored');
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run());
  for (const v of violations.filter(({ impact }) => ['serious', 'critical'].includes(impact))) {
    check(false, `axe finds nothing serious: ${v.id}: ${v.help}: ${v.nodes.slice(0, 5).map((n) => n.html).join(' ')}`);
  }
} catch (error) {
  check(false, error.stack);
} finally {
  await browser.close();
}
process.exit(failed ? 1 : 0);
