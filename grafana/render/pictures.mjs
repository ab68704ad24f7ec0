// Draws dashboards in a headless Chromium, and prints as JSON how large every letter is; see tests/golden/grafana_render.py.
//   node pictures.mjs REQUEST      a file with {url, now, choices, boards, widths, chromium}, and perhaps
//                             the folder `into` for PNG files
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

import { build } from 'esbuild';

import { standIn } from './environment.mjs';
import { ask, setUp, timeRange, variables } from './grafana.mjs';

const request = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const here = fileURLToPath(new URL('.', import.meta.url));
const require = createRequire(import.meta.url);

// One Chromium for all pictures, spoken to through two pipes.
class Browser {
  #waiting = new Map();
  #listening = [];
  #number = 0;
  #rest = '';

  constructor(program, profile) {
    this.process = spawn(
      program,
      [
        '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
        '--disable-component-update', '--disable-sync', '--hide-scrollbars', '--allow-file-access-from-files',
        '--remote-debugging-pipe', `--user-data-dir=${profile}`,
      ],
      { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] },
    );
    this.process.stdio[4].on('data', (part) => {
      const texts = (this.#rest + part).split('\0');
      this.#rest = texts.pop();
      texts.forEach((text) => this.#heard(JSON.parse(text)));
    });
  }

  #heard(message) {
    const waiting = this.#waiting.get(message.id);
    if (waiting) {
      this.#waiting.delete(message.id);
      message.error ? waiting.reject(new Error(JSON.stringify(message.error))) : waiting.resolve(message.result);
    }
    this.#listening = this.#listening.filter(({ method, resolve }) => method !== message.method || resolve(message));
  }

  send(method, params = {}, sessionId = undefined) {
    const id = ++this.#number;
    this.process.stdio[3].write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    return new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
  }

  close() {
    return new Promise((resolve) => {
      this.process.on('exit', resolve);
      this.send('Browser.close').catch(() => {});
    });
  }
}

// Editors and maps are most of @grafana/ui, and on no dashboard.
const WITHOUT_EDITORS = {
  name: 'without-editors',
  setup(made) {
    made.onResolve({ filter: /^(monaco-editor|react-monaco-editor|@monaco-editor\/|ol(\/|$)|@codemirror\/|slate)/ }, ({ path }) => ({ path, namespace: 'none' }));
    made.onLoad({ filter: /.*/, namespace: 'none' }, () => ({ contents: 'module.exports = {}' }));
  },
};

async function page() {
  const source = readFileSync(join(here, 'page.jsx')) + readFileSync(join(here, 'grafana.mjs'));
  const name = join(here, `page-${require('node:crypto').createHash('sha256').update(source).digest('hex').slice(0, 12)}.js`);
  if (!existsSync(name)) {
    await build({
      entryPoints: [join(here, 'page.jsx')],
      outfile: name,
      bundle: true,
      format: 'iife',
      jsx: 'automatic',
      minify: true,
      logLevel: 'error',
      loader: { '.svg': 'dataurl', '.png': 'dataurl', '.woff2': 'dataurl', '.ttf': 'empty' },
      plugins: [WITHOUT_EDITORS],
      define: { 'process.env.NODE_ENV': '"production"', global: 'globalThis' },
    });
  }
  return name;
}

// How many pixels wide a panel is: Grafana asks for no more points.
const pixels = (panel, width) =>
  Math.floor(width < 768 ? width - 32 : (panel.gridPos.w * (width - 32 + 8)) / 24 - 8);

async function answers(data, board, width, choices) {
  const panels = [];
  for (const panel of board.panels) {
    const range = timeRange(data, board, panel);
    const found = await Promise.all(
      (panel.targets ?? []).map((target) => ask(data, request.url, board, panel, target, choices, pixels(panel, width))),
    );
    panels.push({
      panel,
      range: { from: range.from.valueOf(), to: range.to.valueOf() },
      frames: found.flatMap(({ frames }) => frames).map((frame) => ({
        refId: frame.refId,
        name: frame.name,
        fields: frame.fields.map(({ name, type, labels, config, values }) => ({ name, type, labels, config, values: [...values] })),
      })),
    });
  }
  return panels;
}

async function shot(browser, script, board, width, panels, choices, folder) {
  const html = join(folder, 'page.html');
  const styles = ['uplot/dist/uPlot.min.css', '@grafana/react-data-grid/lib/styles.css'];
  const css = styles.map((file) => readFileSync(join(here, 'node_modules', file), 'utf8'));
  const shown = JSON.stringify({ board, width, panels, choices }).replace(/</g, '\\u003c');
  writeFileSync(
    html,
    `<!doctype html><meta charset="utf-8"><style>${css.join('\n')}
    body { margin: 0; font-family: Inter, sans-serif }</style><div id="root"></div>
    <script>
      const Real = Date;
      Date = class extends Real { constructor(...p) { p.length ? super(...p) : super(${request.now * 1000}); } static now() { return ${request.now * 1000}; } };
      globalThis.__SHOWN = ${shown};
    </script><script src="${pathToFileURL(script)}"></script>`,
  );
  const { targetId } = await browser.send('Target.createTarget', { url: 'about:blank' });
  const { sessionId } = await browser.send('Target.attachToTarget', { targetId, flatten: true });
  const send = (method, params) => browser.send(method, params, sessionId);
  const size = (height) =>
    send('Emulation.setDeviceMetricsOverride', { width, height, deviceScaleFactor: 1, mobile: false });
  await size(1200);
  await send('Page.enable');
  await send('Page.navigate', { url: `${pathToFileURL(html)}` });
  const wait = `new Promise((resolve) => { const look = () => globalThis.__MEASURED ? resolve(JSON.stringify(globalThis.__MEASURED)) : setTimeout(look, 30); look(); })`;
  let measured;
  for (let attempt = 0; !measured && attempt < 50; attempt += 1) {
    const { result, exceptionDetails } = await send('Runtime.evaluate', { expression: wait, awaitPromise: true, returnByValue: true }).catch(() => ({ result: {} }));
    measured = exceptionDetails ? undefined : result.value && JSON.parse(result.value);
  }
  if (!measured || measured.error) {
    throw new Error(`${board.uid} at ${width} px: ${measured?.error ?? 'nothing was drawn'}`);
  }
  if (request.into) {
    await size(measured.height);
    const { data } = await send('Page.captureScreenshot', { format: 'png', clip: { x: 0, y: 0, width, height: measured.height, scale: 1 } });
    const suffix = request.widths.length > 1 ? `-${width}` : '';
    writeFileSync(join(request.into, `${board.uid}${suffix}.png`), Buffer.from(data, 'base64'));
  }
  await browser.send('Target.closeTarget', { targetId });
  return measured.letters;
}

const script = await page();
standIn(request.now * 1000);
const data = require('@grafana/data');
setUp(data);
const folder = mkdtempSync(join(tmpdir(), 'sonnen-pictures-'));
const browser = new Browser(request.chromium, join(folder, 'profile'));
try {
  const told = [];
  for (const board of request.boards) {
    for (const width of request.widths) {
      const choices = await variables(data, request.url, board, request.choices);
      const panels = await answers(data, board, width, choices);
      told.push({ uid: board.uid, width, letters: await shot(browser, script, board, width, panels, choices, folder) });
    }
  }
  process.stdout.write(JSON.stringify(told));
} finally {
  await browser.close();
  rmSync(folder, { recursive: true, force: true });
}
