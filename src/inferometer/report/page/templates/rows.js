"use strict";
// The rows of a plot's CSV, in the long form of inferometer.report.plots.table, whose header the page holds.
const Rows = (() => {
  function chart(p) {
    const optional = ["x_low", "x_high", "low", "high"].filter((name) => p.series.some((s) => s[name]));
    const labelled = p.series.some((s) => s.labels.length);
    return p.series.flatMap((s) => s.x.map((x, i) => [s.name[0], ...(labelled ? [s.labels[i] ?? ""] : []), x,
      ...(p.right ? (s.right ? ["", s.y[i]] : [s.y[i], ""]) : [s.y[i]]), ...optional.map((name) => (s[name] ? s[name][i] : ""))]));
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
