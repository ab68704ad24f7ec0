// What a Grafana does between a dashboard's JSON and what a person sees, but for the drawing: by @grafana/data where that
// does it, and written out here where it is the back end's work or the core's. `data` is the package, in whatever version.

export const BEAT = '5s'; // provisioning/datasources/sonnen.yml: timeInterval
const MOST_POINTS = 11000; // what Prometheus gives, and what the back end keeps to, rounded

export function setUp(data) {
  data.standardTransformersRegistry.setInit(() => {
    // Some are there under an older name as well.
    const once = new Map(Object.values(data.standardTransformers).map((one) => [one.id, one]));
    return [...once.values()].map((transformation) => ({
      id: transformation.id,
      name: transformation.name,
      aliasIds: [],
      // A loader in 13, the thing itself in 10.
      transformation: data.standardTransformers.transposeTransformer ? async () => transformation : transformation,
    }));
  });
}

function registry(data) {
  const plain = ['unit', 'decimals', 'min', 'max', 'displayName', 'noValue', 'color', 'thresholds', 'mappings'];
  const custom = [
    'lineWidth', 'fillOpacity', 'fillBelowTo', 'lineStyle', 'axisPlacement', 'axisLabel', 'drawStyle', 'barAlignment',
    'stacking', 'showPoints', 'spanNulls', 'align', 'minWidth', 'cellOptions', 'hideFrom', 'width', 'axisSoftMin',
  ];
  const processors = { thresholds: 'thresholdsOverrideProcessor', mappings: 'valueMappingsOverrideProcessor' };
  const found = new data.FieldConfigOptionsRegistry();
  const item = (id, path, isCustom) => ({
    id,
    path,
    name: id,
    isCustom,
    process: data[processors[id]] ?? ((value) => value),
    shouldApply: () => true,
    override: () => null,
    editor: () => null,
    getItemsCount: () => 0,
  });
  found.register
    && plain.forEach((id) => found.register(item(id, id, false)));
  custom.forEach((id) => found.register(item(`custom.${id}`, id, true)));
  return found;
}

// The time of a panel: its own where the dashboard's is relative.
export function timeRange(data, board, panel) {
  const zone = board.timezone;
  const chosen = data.rangeUtil.convertRawToRange(asTyped(data, board.time, zone), zone);
  if (panel.timeShift) {
    const moved = (at, last) => data.dateMath.parseDateMath(`-${panel.timeShift}`, at.clone(), last);
    const [from, to] = [moved(chosen.from, false), moved(chosen.to, true)];
    return { from, to, raw: { from, to } };
  }
  if (!panel.timeFrom || typeof chosen.raw.from !== 'string') {
    return chosen;
  }
  const own = data.rangeUtil.describeTextRange(panel.timeFrom);
  return data.rangeUtil.convertRawToRange({ from: own.from, to: own.to }, zone);
}

function asTyped(data, time, zone) {
  const one = (text) => (text.startsWith('now') ? text : data.dateTimeForTimeZone(zone, text));
  return { from: one(time.from), to: one(time.to) };
}

// The step of a query, and the interval that its words know: Grafana rounds to a round one, also down.
export function steps(data, panel, range, pixels) {
  const least = panel.interval ?? BEAT;
  const points = panel.maxDataPoints ?? pixels;
  const { intervalMs } = data.rangeUtil.calculateInterval(range, points, least);
  const { interval } = data.rangeUtil.calculateInterval(range, points, panel.wordInterval ?? least);
  const safe = data.rangeUtil.roundInterval((range.to.valueOf() - range.from.valueOf()) / MOST_POINTS);
  return { interval, intervalMs, step: Math.max(intervalMs, safe) / 1000 };
}

export function filledIn(text, choices, range, { interval, intervalMs }) {
  const seconds = Math.round((range.to.valueOf() - range.from.valueOf()) / 1000);
  const rate = Math.max(intervalMs / 1000 + 5, 20);
  const words = {
    __range_s: `${seconds}`,
    __range: `${seconds}s`,
    __interval: interval,
    __rate_interval: `${rate}s`,
    ...choices,
  };
  return text.replace(/\$(?:\{(\w+)(?::(\w+))?\}|(\w+))/g, (whole, braced, format, bare) => {
    const value = words[braced ?? bare];
    if (value === undefined) {
      return whole;
    }
    // Grafana's format regex; "All" is given as it stands.
    return format === 'regex' && value !== '.+' ? value.replace(/[-/\\^$*+?.()|[\]{}]/g, '\\$&') : value;
  });
}

// What a dashboard's variables hold: what was chosen, what stands in the boxes, and what a query finds.
export async function variables(data, url, board, chosen) {
  const found = { ...chosen };
  for (const one of board.templating.list) {
    if (one.type === 'textbox') {
      found[one.name] ??= one.query;
    }
    const [, query] = one.type === 'query' ? (one.query.query.match(/^query_result\((.*)\)$/s) ?? []) : [];
    if (query) {
      const range = timeRange(data, board, {});
      const asked = filledIn(query, found, range, { interval: '1m', intervalMs: 60000 });
      const parameters = new URLSearchParams({ query: asked, time: range.to.valueOf() / 1000 });
      const { data: answer } = await (await fetch(`${url}/api/v1/query`, { method: 'POST', body: parameters })).json();
      const [first] = answer.result.map(({ metric, value: [at, value] }) => {
        const labels = Object.entries(metric).map(([name, text]) => `${name}="${text}"`);
        return `{${labels.join(',')}} ${value} ${at * 1000}`;
      });
      const [, body] = one.regex.match(/^\/(.*)\/$/);
      found[one.name] = first?.match(new RegExp(body))?.[1] ?? '';
    }
  }
  return found;
}

// Ask a query as the back end does, and return frames as it makes them.
export async function ask(data, url, board, panel, target, choices, pixels) {
  const range = timeRange(data, board, panel);
  const word = steps(data, panel, range, pixels);
  const query = filledIn(target.expr, choices, range, word);
  const path = target.instant ? 'query' : 'query_range';
  const parameters = { query };
  if (target.instant) {
    parameters.time = range.to.valueOf() / 1000;
  } else {
    const offset = range.to.utcOffset() * 60;
    const aligned = (at) => Math.floor((Math.floor(at.valueOf() / 1000) + offset) / word.step) * word.step - offset;
    Object.assign(parameters, { start: aligned(range.from), end: aligned(range.to), step: word.step });
  }
  const answer = await fetch(`${url}/api/v1/${path}`, { method: 'POST', body: new URLSearchParams(parameters) });
  const body = await answer.json();
  if (body.status !== 'success') {
    return { error: `${body.error}`, frames: [] };
  }
  const series = body.data.result.map((one) => ({ metric: one.metric, points: one.values ?? [one.value] }));
  return { frames: target.format === 'table' ? table(data, panel, target, series) : frames(data, target, series, word.step) };
}

function frames(data, target, series, step) {
  if (!series.length) {
    return [data.toDataFrame({ refId: target.refId, fields: [] })];
  }
  return series.map(({ metric, points }) => {
    const { __name__: _, ...labels } = metric;
    const name = target.legendFormat.replace(/\{\{(\w+)\}\}/g, (_, label) => metric[label] ?? '');
    return data.toDataFrame({
      refId: target.refId,
      name,
      fields: [
        {
          name: 'Time',
          type: 'time',
          values: points.map(([at]) => at * 1000),
          // What lies further apart is a gap.
          config: target.instant ? {} : { interval: step * 1000 },
        },
        {
          name: 'Value',
          type: 'number',
          labels,
          values: points.map(([, value]) => Number(value.replace('Inf', 'Infinity'))),
          config: { displayNameFromDS: name },
        },
      ],
    });
  });
}

// One table for each query, with the labels as columns.
function table(data, panel, target, series) {
  const labels = [...new Set(series.flatMap(({ metric }) => Object.keys(metric).sort()))];
  const rows = series.flatMap(({ metric, points }) => points.map((point) => [metric, point]));
  const value = panel.targets.length > 1 ? `Value #${target.refId}` : 'Value';
  return [
    data.toDataFrame({
      refId: target.refId,
      fields: [
        { name: 'Time', type: 'time', values: rows.map(([, [at]]) => at * 1000), config: {} },
        ...labels.map((label) => ({
          name: label,
          type: 'string',
          values: rows.map(([metric]) => metric[label] ?? ''),
          config: { filterable: true },
        })),
        { name: value, type: 'number', values: rows.map(([, [, one]]) => Number(one)), config: {} },
      ],
    }),
  ];
}

// Let Grafana's transformations and overrides make of frames what a panel draws.
export async function prepared(data, theme, panel, found, zone, replace) {
  const transformed = await new Promise((resolve, reject) => {
    data
      .transformDataFrame(panel.transformations ?? [], found, { interpolate: replace })
      .subscribe({ next: resolve, error: reject });
  });
  const fieldConfig = structuredClone(panel.fieldConfig);
  for (const step of fieldConfig.defaults.thresholds?.steps ?? []) {
    step.value ??= -Infinity;
  }
  return data.applyFieldOverrides({
    data: transformed,
    fieldConfig,
    replaceVariables: replace,
    theme,
    timeZone: zone,
    fieldConfigRegistry: registry(data),
  });
}
