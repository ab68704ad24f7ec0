// A dashboard in the browser: panels in Grafana's frames and, where @grafana/ui has them, drawn by Grafana; the dial, state
// timelines and bar charts are in no package, and drawn here after their pictures. Then every letter is measured.
import * as data from '@grafana/data';
import {
  BarGauge, BigValue, GlobalStyles, PanelChrome, PanelContextProvider, ThemeContext, TimeSeries, VizRepeater,
} from '@grafana/ui';
import { TableNG } from '@grafana/ui/unstable';
import { createRoot } from 'react-dom/client';

import { filledIn, prepared, setUp } from './grafana.mjs';

const { board, width: window_width, panels, choices } = globalThis.__SHOWN;
const CELL = 30;
const GAP = 8;
const MARGIN = 16;
const PHONE = 768; // below, Grafana puts all panels into one column

setUp(data);
const theme = data.createTheme({ colors: { mode: 'dark' } });
const zone = board.timezone;
const say = (value) => data.formattedValueToString(value);

function place(panel, top) {
  const { x, y, w, h } = panel.gridPos;
  const column = (window_width - 2 * MARGIN + GAP) / 24;
  const height = h * CELL + (h - 1) * GAP;
  return window_width < PHONE
    ? { left: MARGIN, top, width: window_width - 2 * MARGIN, height }
    : { left: MARGIN + x * column, top: MARGIN + y * (CELL + GAP), width: w * column - GAP, height };
}

function values(panel, shown, replace) {
  return data.getFieldDisplayValues({
    fieldConfig: panel.fieldConfig,
    reduceOptions: panel.options.reduceOptions,
    replaceVariables: replace,
    theme,
    data: shown,
    timeZone: zone,
  });
}

function Stat({ panel, shown, replace, width, height }) {
  const { options } = panel;
  return (
    <VizRepeater
      getValues={() => values(panel, shown, replace)}
      getAlignmentFactors={data.getDisplayValueAlignmentFactors}
      renderValue={({ value, alignmentFactors, width, height, count, orientation }) => (
        <BigValue
          value={value.display}
          count={count}
          colorMode={options.colorMode}
          text={options.text}
          graphMode={options.graphMode}
          justifyMode={options.justifyMode}
          textMode={options.textMode}
          alignmentFactors={alignmentFactors}
          parentOrientation={orientation}
          disableWideLayout={!options.wideLayout}
          width={width}
          height={height}
          theme={theme}
        />
      )}
      width={width}
      height={height}
      source={shown}
      itemSpacing={3}
      renderCounter={0}
      autoGrid
      orientation={options.orientation}
    />
  );
}

function Bars({ panel, shown, replace, width, height }) {
  const { options } = panel;
  return (
    <VizRepeater
      getValues={() => values(panel, shown, replace)}
      getAlignmentFactors={data.getDisplayValueAlignmentFactors}
      renderValue={({ value, alignmentFactors, width, height, orientation }) => (
        <BarGauge
          value={value.display}
          field={value.field}
          display={value.view?.getFieldDisplayProcessor(value.colIndex)}
          alignmentFactors={alignmentFactors}
          orientation={orientation}
          displayMode={options.displayMode}
          showUnfilled
          valueDisplayMode={options.valueMode}
          namePlacement={options.namePlacement}
          itemSpacing={10}
          lcdCellWidth={12}
          width={width}
          height={height}
          theme={theme}
        />
      )}
      width={width}
      height={height}
      minVizHeight={16}
      source={shown}
      itemSpacing={10}
      renderCounter={0}
      orientation={options.orientation}
    />
  );
}

function Course({ panel, shown, range, width, height }) {
  const frames = shown.filter((frame) => frame.fields.length).map((frame) => ({
    ...frame,
    fields: frame.fields.map((field) => ({ ...field, config: { ...field.config, custom: { ...DRAWN, ...field.config.custom } } })),
  }));
  if (!frames.length) {
    return <Nothing panel={panel} width={width} height={height} />;
  }
  return (
    <TimeSeries
      frames={frames}
      structureRev={1}
      timeRange={range}
      timeZone={zone}
      width={width}
      height={height}
      legend={panel.options.legend}
      options={panel.options}
    />
  );
}

// What the core's registry gives to a chart that says nothing else.
const DRAWN = {
  drawStyle: 'line', lineInterpolation: 'linear', lineWidth: 1, fillOpacity: 0, gradientMode: 'none', pointSize: 5,
  showPoints: 'auto', axisPlacement: 'auto', axisColorMode: 'text', axisCenteredZero: false, barAlignment: 0,
  scaleDistribution: { type: 'linear' }, stacking: { mode: 'none', group: 'A' }, hideFrom: { tooltip: false, viz: false, legend: false },
  thresholdsStyle: { mode: 'off' }, spanNulls: false, insertNulls: false, axisBorderShow: false, barWidthFactor: 0.6,
};

function Rows({ panel, shown, width, height }) {
  const frame = shown[0];
  if (!frame?.length) {
    return <Nothing panel={panel} width={width} height={height} />;
  }
  const sortBy = panel.options.sortBy ?? [];
  // The table takes a column's name from where this leaves it.
  frame.fields.forEach((field) => data.getFieldDisplayName(field, frame, shown));
  return (
    <TableNG
      data={frame}
      width={width}
      height={height}
      noHeader={false}
      showTypeIcons={false}
      resizable
      initialSortBy={sortBy}
      cellHeight={panel.options.cellHeight}
      fieldConfig={panel.fieldConfig}
      structureRev={1}
      getActions={() => []}
      disableSanitizeHtml={false}
      disableKeyboardEvents
      transparent={false}
    />
  );
}

function Nothing({ panel, width, height }) {
  return (
    <div style={{ width, height, display: 'flex', alignItems: 'center', justifyContent: 'center', fontSize: 14 }}>
      {panel.fieldConfig.defaults.noValue ?? 'No data'}
    </div>
  );
}

// The dial: an arc of 240 degrees with the value in its middle.
function Dial({ panel, shown, replace, width, height }) {
  const [one] = values(panel, shown, replace);
  const { min = 0, max = 100 } = panel.fieldConfig.defaults;
  const share = Math.min(1, Math.max(0, ((one?.display.numeric ?? min) - min) / (max - min)));
  const radius = Math.min(width / 2, height / 1.6) - 10;
  const [cx, cy] = [width / 2, height / 2 + radius / 5];
  const at = (part) => {
    const angle = ((-210 + 240 * part) * Math.PI) / 180;
    return `${cx + radius * Math.cos(angle)},${cy + radius * Math.sin(angle)}`;
  };
  const arc = (part) => `M${at(0)} A${radius},${radius} 0 ${part > 0.75 ? 1 : 0} 1 ${at(part)}`;
  return (
    <svg width={width} height={height}>
      <path d={arc(1)} stroke={theme.colors.background.secondary} strokeWidth={radius / 3.5} fill="none" />
      {share > 0 && <path d={arc(share)} stroke={one.display.color} strokeWidth={radius / 3.5} fill="none" />}
      <text x={cx} y={cy + 6} textAnchor="middle" fill={one?.display.color} fontSize={Math.max(14, radius / 2.2)} fontWeight={500}>
        {one ? say(one.display) : ''}
      </text>
    </svg>
  );
}

function Timeline({ panel, shown, range, width, height }) {
  const frames = shown.filter((frame) => frame.fields.length);
  if (!frames.length) {
    return <Nothing panel={panel} width={width} height={height} />;
  }
  const lines = frames.flatMap((frame) =>
    frame.fields.filter(({ type }) => type === 'number').map((field) => ({
      name: data.getFieldDisplayName(field, frame, shown),
      times: frame.fields[0].values,
      field,
    })),
  );
  const left = 12 + Math.max(...lines.map(({ name }) => name.length)) * 6.6;
  const axis = 20;
  const [from, to] = [range.from.valueOf(), range.to.valueOf()];
  const x = (at) => left + ((Math.max(from, at) - from) / (to - from)) * (width - left);
  const row = (height - axis) / lines.length;
  return (
    <svg width={width} height={height}>
      {lines.map(({ name, times, field }, number) => (
        <g key={name}>
          <text x={left - 8} y={number * row + row / 2 + 4} textAnchor="end" fontSize={12} fill={theme.colors.text.primary}>{name}</text>
          {stretches(times, field).map(({ begin, end, shown: { text, color } }) => (
            <g key={begin}>
              <rect x={x(begin)} y={number * row + 2} width={Math.max(1, x(end) - x(begin))} height={row - 4} fill={color} opacity={0.8} />
              {x(end) - x(begin) > text.length * 7 + 8 && row >= 15 && (
                <text x={x(begin) + 4} y={number * row + row / 2 + 4} fontSize={12} fill="#111">{text}</text>
              )}
            </g>
          ))}
        </g>
      ))}
      {ticks(from, to, Math.floor((width - left) / 110)).map((at) => (
        <text key={at} x={x(at)} y={height - 4} fontSize={12} textAnchor="middle" fill={theme.colors.text.primary}>
          {data.dateTimeFormat(at, { timeZone: zone, format: to - from > 2 * 864e5 ? 'MM/DD' : 'HH:mm' })}
        </text>
      ))}
    </svg>
  );
}

function stretches(times, field) {
  const found = [];
  field.values.forEach((value, number) => {
    const shown = field.display(value);
    const last = found.at(-1);
    const end = times[number + 1] ?? times[number];
    if (value === null || (last && last.shown.text === shown.text && last.end >= times[number])) {
      if (last && value !== null) {
        last.end = end;
      }
      return;
    }
    found.push({ begin: times[number], end, shown });
  });
  return found;
}

// Moments for an axis: midnights, or whole hours.
function ticks(from, to, most) {
  const steps = [1, 2, 3, 6, 12, 24, 48, 120, 240, 720].map((hours) => hours * 36e5);
  const step = steps.find((one) => (to - from) / one < most) ?? 2160 * 36e5;
  const offset = data.dateTimeForTimeZone(zone, to).utcOffset() * 60000;
  const found = [];
  for (let at = Math.ceil((from + offset) / step) * step - offset + step / 4; at < to - step / 4; at += step) {
    found.push(at - step / 4);
  }
  return found.filter((at) => at > from + (to - from) / 30);
}

function Columns({ panel, shown, width, height }) {
  const [frame] = shown;
  const numbers = frame?.fields.filter(({ type }) => type === 'number') ?? [];
  if (!frame?.length || !numbers.length) {
    return <Nothing panel={panel} width={width} height={height} />;
  }
  const names = frame.fields.find((field) => data.getFieldDisplayName(field, frame, shown) === panel.options.xField);
  const { stacking, orientation } = panel.options;
  const stacked = stacking === 'normal';
  const rows = Array.from({ length: frame.length }, (_, row) => numbers.map((field) => field.values[row] ?? 0));
  const most = Math.max(...rows.map((row) => (stacked ? row.reduce((sum, one) => sum + one, 0) : Math.max(...row))), 1e-9);
  const least = Math.min(0, ...rows.flat());
  const labels = numbers.map((field) => data.getFieldDisplayName(field, frame, shown));
  const legend = labels.join('').length * 7 + labels.length * 34 > width ? 42 : 24;
  const colour = (field) => field.config.color?.fixedColor ?? theme.visualization.getColorByName('green');
  const grid = [0, 0.25, 0.5, 0.75, 1].map((part) => least + (most - least) * part);
  const flat = orientation === 'horizontal';
  const longest = Math.max(...grid.map((value) => say(numbers[0].display(value)).length));
  const label = flat ? 60 : Math.max(64, longest * 7.5 + 16);
  const along = flat ? width - label - 12 : height - legend - 26;
  const length = (value) => (value / (most - least)) * along;
  const slot = (flat ? height - legend - 22 : width - label - 8) / rows.length;
  const every = flat ? 1 : Math.ceil(64 / slot);
  return (
    <svg width={width} height={height}>
      {grid.map((value) => (
        <text
          key={value}
          x={flat ? label + length(value - least) : label - 8}
          y={flat ? height - legend - 6 : 6 + along - length(value - least) + 4}
          textAnchor={flat && value < most ? 'middle' : 'end'}
          fontSize={12}
          fill={theme.colors.text.primary}
        >
          {say(numbers[0].display(value))}
        </text>
      ))}
      {rows.map((row, number) => {
        let sum = -least;
        return (
          <g key={number}>
            {row.map((value, which) => {
              const thick = (slot * 0.8) / (stacked ? 1 : row.length);
              const begin = stacked ? sum : -least;
              const across = number * slot + slot * 0.1 + (stacked ? 0 : which * thick);
              sum += value;
              const size = Math.abs(length(value));
              return flat ? (
                <rect key={which} x={label + length(begin)} y={across} width={size} height={thick} fill={colour(numbers[which])} opacity={0.8} />
              ) : (
                <rect key={which} x={label + across} y={6 + along - length(begin) - size} width={thick} height={size} fill={colour(numbers[which])} opacity={0.8} />
              );
            })}
            {number % every === 0 && (flat || number * slot + slot / 2 + 26 < width - label) && (
              <text
                x={flat ? label - 8 : label + number * slot + slot / 2}
                y={flat ? number * slot + slot / 2 + 4 : height - legend - 4}
                textAnchor={flat ? 'end' : 'middle'}
                fontSize={12}
                fill={theme.colors.text.primary}
              >
                {say(names.display(names.values[number] ?? ''))}
              </text>
            )}
          </g>
        );
      })}
      <foreignObject x={0} y={height - legend} width={width} height={legend}>
        <div style={{ display: 'flex', flexWrap: 'wrap', columnGap: 16, fontSize: 12, lineHeight: '18px', whiteSpace: 'nowrap' }}>
          {numbers.map((field) => (
            <span key={field.name}>
              <i style={{ display: 'inline-block', width: 14, height: 4, background: colour(field), marginRight: 4 }} />
              {data.getFieldDisplayName(field, frame, shown)}
            </span>
          ))}
        </div>
      </foreignObject>
    </svg>
  );
}

const KINDS = {
  stat: Stat, bargauge: Bars, gauge: Dial, timeseries: Course, table: Rows, 'state-timeline': Timeline, barchart: Columns,
};

async function main() {
  let top = MARGIN;
  const drawn = [];
  for (const { panel, frames, range: raw } of panels) {
    const at = place(panel, top);
    if (panel.type === 'row') {
      const replace = (value) => filledIn(value, choices, raw, { interval: '1m', intervalMs: 60000 });
      drawn.push(<div key={panel.id} style={{ position: 'absolute', ...at, height: CELL, fontSize: 16, fontWeight: 500 }}>⌄ {replace(panel.title)}</div>);
      top += CELL + GAP;
      continue;
    }
    top += at.height + GAP;
    const range = {
      from: data.dateTimeForTimeZone(zone, raw.from),
      to: data.dateTimeForTimeZone(zone, raw.to),
      raw: { from: data.dateTimeForTimeZone(zone, raw.from), to: data.dateTimeForTimeZone(zone, raw.to) },
    };
    const replace = (value) => filledIn(value, choices, range, { interval: '1m', intervalMs: 60000 });
    const found = frames.map((frame) => data.toDataFrame(frame));
    const shown = await prepared(data, theme, panel, found, zone, replace);
    const Kind = KINDS[panel.type];
    drawn.push(
      <div key={panel.id} data-panel={panel.title} style={{ position: 'absolute', ...at }}>
        <PanelChrome
          title={replace(panel.title)}
          description={panel.description}
          width={at.width}
          height={at.height}
          padding={panel.type === 'table' ? 'none' : 'md'}
          titleItems={panel.timeFrom && !panel.hideTimeOverride ? [<span key="time" style={{ fontSize: 12, whiteSpace: 'nowrap' }}>{data.rangeUtil.describeTextRange(panel.timeFrom).display}</span>] : []}
        >
          {(width, height) => <Kind panel={panel} shown={shown} range={range} replace={replace} width={width} height={height} />}
        </PanelChrome>
      </div>,
    );
  }
  const bottom = ({ panel }) => place(panel, 0).top + place(panel, 0).height;
  const height = (window_width < PHONE ? top : Math.max(...panels.map(bottom))) + MARGIN;
  document.body.style.background = theme.colors.background.canvas;
  const root = document.getElementById('root');
  root.style.cssText = `position: relative; width: ${window_width}px; height: ${height}px; overflow: hidden`;
  createRoot(root).render(
    <ThemeContext.Provider value={theme}>
      <GlobalStyles />
      <PanelContextProvider value={{ eventsScope: 'global', eventBus: new data.EventBusSrv() }}>{drawn}</PanelContextProvider>
    </ThemeContext.Provider>,
  );
  await settled();
  globalThis.__MEASURED = { height, letters: letters() };
}

// Charts draw in the frames that follow: wait until nothing has changed for a while.
async function settled() {
  let count = -1;
  let calm = 0;
  while (calm < 8) {
    await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
    const now = document.getElementsByTagName('*').length;
    calm = now === count ? calm + 1 : 0;
    count = now;
  }
  await document.fonts.ready;
}

// Return every text of each panel: how high its letters are, and by how much it leaves the panel or is cut off.
function letters() {
  const found = [];
  for (const panel of document.querySelectorAll('[data-panel]')) {
    const frame = panel.getBoundingClientRect();
    const walker = document.createTreeWalker(panel, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
      const text = walker.currentNode.textContent.trim();
      const element = walker.currentNode.parentElement;
      if (!text || ['STYLE', 'SCRIPT'].includes(element.tagName)) {
        continue;
      }
      const range = document.createRange();
      range.selectNodeContents(walker.currentNode);
      const box = range.getBoundingClientRect();
      const style = getComputedStyle(element);
      if (!box.width || style.visibility === 'hidden' || style.clip === 'rect(0px, 0px, 0px, 0px)') {
        continue;
      }
      let cut = 0;
      for (let one = element; one !== panel; one = one.parentElement) {
        const around = getComputedStyle(one);
        if (!['visible', ''].includes(around.overflowX)) {
          const bounds = one.getBoundingClientRect();
          const room = bounds.right - parseFloat(around.paddingRight);
          // A hair too much is enough for three dots.
          const dots = around.textOverflow === 'ellipsis' && box.right > room + 0.05 ? 2 : 0;
          cut = Math.max(cut, dots, box.right - room, bounds.left - box.left, one.scrollWidth - one.clientWidth);
        }
      }
      found.push({
        panel: panel.dataset.panel,
        text,
        pixels: parseFloat(style.fontSize),
        outside: Math.max(frame.left - box.left, box.right - frame.right, frame.top - box.top, box.bottom - frame.bottom),
        cut,
      });
    }
  }
  return found;
}

addEventListener("error", (event) => { globalThis.__MEASURED = { error: `${event.message} ${event.error?.stack ?? ""}` }; });
main().catch((error) => {
  globalThis.__MEASURED = { error: String(error.stack ?? error) };
});
