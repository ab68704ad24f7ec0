// What Grafana's packages expect of a browser, for Node: a document, and a clock that stands at a moment of our choice.
import { JSDOM } from 'jsdom';

export function standIn(now) {
  const { window } = new JSDOM('<!doctype html><body></body>', { url: 'http://localhost/' });
  const none = () => ({ matches: false, addListener() {}, removeListener() {}, addEventListener() {}, removeEventListener() {} });
  window.matchMedia = none;
  const names = [
    'window', 'document', 'Element', 'HTMLElement', 'Node', 'MutationObserver', 'getComputedStyle', 'matchMedia', 'DOMParser',
    'localStorage', 'sessionStorage', 'location', 'history', 'CustomEvent', 'DocumentFragment', 'HTMLCanvasElement', 'Image',
  ];
  for (const name of names) {
    define(name, name === 'window' ? window : window[name]);
  }
  define('navigator', window.navigator);
  for (const name of ['ResizeObserver', 'IntersectionObserver', 'Worker']) {
    const observer = class { observe() {} unobserve() {} disconnect() {} postMessage() {} };
    define(name, observer);
    window[name] = observer;
  }
  stopTheClock(now);
}

// Relative times, "ago", and "today" are reckoned from here.
export function stopTheClock(now, scope = globalThis) {
  const Real = scope.Date;
  scope.Date = class extends Real {
    constructor(...parts) {
      parts.length ? super(...parts) : super(now);
    }
    static now() {
      return now;
    }
  };
}

function define(name, value) {
  Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
}
