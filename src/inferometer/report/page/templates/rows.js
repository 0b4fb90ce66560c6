"use strict";
// The rows of a plot's CSV, in the long form of inferometer.report.plots.table, whose header the page holds.
const Rows = (() => {
  function chart(p) {
    const has = (s, name, right) => s[name] && (right === null || !!s.right === right);
    const ends = [["x_low", null], ["x_high", null], ["low", false], ["high", false], ["low", true], ["high", true]]
      .filter(([name, right]) => p.series.some((s) => has(s, name, right)));
    const labelled = p.series.some((s) => s.labels.length);
    return p.series.flatMap((s) => s.x.map((x, i) => [s.name[0], ...(labelled ? [s.labels.length ? s.labels[i][0] : ""] : []), x,
      ...(p.right ? (s.right ? ["", s.y[i]] : [s.y[i], ""]) : [s.y[i]]), 
      ...ends.map(([name, right]) => (has(s, name, right) ? s[name][i] : ""))]));
  }

  function gantt(p) {
    return p.lane.map((lane, i) => [p.index[i], lane, p.planned[i], p.sent[i], p.first[i], p.last[i], p.end[i], p.ok[i],
      p.label.length ? p.label[i] : "ok"]);
  }

  function heat(p) {
    const pair = (edges, i) => edges.slice(i, i + 2);
    return p.values.flatMap((row, y) => row.map((v, x) => [...pair(p.x_edges, x), ...pair(p.y_edges, y), v, p.counts[y][x]]));
  }

  const forest = (p) => p.rows.map((r) => [r.name[0], r.middle, r.low, r.high, r.word, r.text]);

  return { of: (plot) => ({ chart, gantt, heat, forest })[plot.type](plot) };
})();
