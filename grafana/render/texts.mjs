// Prints as JSON what a person would read on each panel of dashboards; see tests/grafana/test_texts.py.
//   node texts.mjs VERSION REQUEST      VERSION is 10 or 13; REQUEST is a file with {url, now, choices, boards}
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

import { standIn } from './environment.mjs';
import { BEAT, ask, filledIn, prepared, setUp, steps, timeRange, variables } from './grafana.mjs';

const [version, file] = process.argv.slice(2);
const request = JSON.parse(readFileSync(file, 'utf8'));
standIn(request.now * 1000);
const data = createRequire(import.meta.url)(version === '10' ? 'grafana-data-10' : '@grafana/data');
setUp(data);
const theme = data.createTheme();

const text = (value) => data.formattedValueToString(value);
const moment = (at, zone) => data.dateTimeFormat(at, { timeZone: zone });

// How many pixels wide a panel is in a window of 1344.
const width = (panel) => Math.floor((panel.gridPos.w * (1344 - 32 + 8)) / 24 - 8);

function reduced(panel, shown, zone, replace) {
  const values = data.getFieldDisplayValues({
    fieldConfig: panel.fieldConfig,
    reduceOptions: panel.options.reduceOptions,
    replaceVariables: replace,
    theme,
    data: shown,
    timeZone: zone,
  });
  return values.map(({ display }) => ({ name: display.title ?? '', text: text(display), colour: display.color ?? '' }));
}

function courses(panel, shown, zone) {
  const rows = [];
  for (const frame of shown) {
    for (const field of frame.fields.filter((one) => one.type === 'number')) {
      const times = frame.fields.find((one) => one.type === 'time')?.values ?? [];
      const values = [...field.values].filter((one) => one !== null && !Number.isNaN(one));
      const name = data.getFieldDisplayName(field, frame, shown);
      if (!values.length) {
        continue;
      }
      const say = (value) => text(field.display(value));
      const sums = (panel.options.legend?.calcs ?? []).map(
        (calc) => `${calc} ${say(data.reduceField({ field, reducers: [calc] })[calc])}`,
      );
      rows.push({
        name,
        text: [`${values.length} points`, `${say(Math.min(...values))} to ${say(Math.max(...values))}`, ...sums].join(', '),
        when: [moment(times[0], zone), moment(times[times.length - 1], zone)],
        unit: field.config.unit ?? '',
        colour: field.config.color?.fixedColor ?? '',
      });
    }
  }
  return rows;
}

function stretches(panel, shown, zone) {
  const rows = [];
  for (const frame of shown) {
    const times = frame.fields.find((one) => one.type === 'time')?.values ?? [];
    for (const field of frame.fields.filter((one) => one.type === 'number')) {
      const parts = [];
      let before;
      field.values.forEach((value, number) => {
        const word = text(field.display(value));
        if (word !== before) {
          parts.push(`${moment(times[number], zone)} ${word}`);
        }
        before = word;
      });
      rows.push({ name: data.getFieldDisplayName(field, frame, shown), text: parts.slice(-8).join('; ') });
    }
  }
  return rows;
}

function cells(shown) {
  const frame = shown[0];
  if (!frame || !frame.fields.length) {
    return [];
  }
  const names = frame.fields.map((field) => data.getFieldDisplayName(field, frame, shown));
  const rows = Array.from({ length: Math.min(frame.length, 40) }, (_, row) =>
    frame.fields.map((field) => text(field.display(field.values[row]))),
  );
  return [names, ...rows].map((row, number) => ({ name: number ? '' : 'columns', text: row.join(' | '), cells: row }));
}

const kinds = {
  stat: reduced,
  gauge: reduced,
  bargauge: reduced,
  timeseries: courses,
  'state-timeline': stretches,
  table: (_, shown) => cells(shown),
  barchart: (_, shown) => cells(shown),
};

async function show(board, panel, choices) {
  const zone = board.timezone;
  const range = timeRange(data, board, panel);
  const word = steps(data, panel, range, width(panel));
  const replace = (value) => filledIn(value, choices, range, word);
  const answers = await Promise.all(
    panel.targets.map((target) => ask(data, request.url, board, panel, target, choices, width(panel))),
  );
  const found = answers.flatMap((answer) => answer.frames);
  const shown = await prepared(data, theme, panel, found, zone, replace);
  const rows = kinds[panel.type](panel, shown, zone, replace);
  return {
    title: replace(panel.title),
    type: panel.type,
    from: moment(range.from, zone),
    to: moment(range.to, zone),
    step: panel.targets.every((target) => target.instant) ? null : word.step,
    points: (range.to.valueOf() - range.from.valueOf()) / 1000 / word.step + 1,
    unit: panel.fieldConfig.defaults.unit,
    errors: answers.flatMap((answer) => answer.error ?? []),
    nothing: panel.fieldConfig.defaults.noValue ?? 'No data',
    rows,
  };
}

async function marks(board, note, choices) {
  // Its words know an interval that its step has no part in.
  const panel = { interval: note.step, wordInterval: BEAT, targets: [] };
  const target = { expr: note.expr, refId: 'Anno', legendFormat: '', instant: false };
  const { frames } = await ask(data, request.url, board, panel, target, choices, 1300);
  // A point counts only where its value is above 0; points that follow one another are one mark.
  const found = [];
  const { step } = steps(data, panel, timeRange(data, board, panel), 1300);
  for (const frame of frames.filter((one) => one.fields.length)) {
    let last = -Infinity;
    const [times, values] = frame.fields;
    times.values.forEach((at, number) => {
      if (values.values[number] > 0) {
        if (at - last > step * 1000) {
          const say = (format) => format.replace(/\{\{(\w+)\}\}/g, (_, label) => values.labels?.[label] ?? '');
          found.push(`${moment(at, board.timezone)} ${say(note.titleFormat)}: ${say(note.textFormat)}`);
        }
        last = at;
      }
    });
  }
  return { name: note.name, marks: found.sort() };
}

const result = [];
for (const board of request.boards) {
  const choices = await variables(data, request.url, board, request.choices);
  const panels = board.panels.filter(({ type }) => type !== 'row');
  const shown = [];
  for (const panel of panels) {
    shown.push(await show(board, panel, choices));
  }
  const annotations = [];
  for (const note of board.annotations.list) {
    annotations.push(await marks(board, note, choices));
  }
  result.push({ uid: board.uid, panels: shown, annotations });
}
process.stdout.write(JSON.stringify(result));
