/* The dashboard's charts, drawn by Chart.js from the data in the page. A click on a point
   leads to the calls behind it. */

const usageCharts = (() => {
  const LIGHT = { good: "#0d9488", warn: "#d97706", bad: "#dc2626", first: "#0d9488", second: "#6366f1", third: "#be185d", line: "#e5e7eb", text: "#4b5563" };
  const DARK = { good: "#2dd4bf", warn: "#fbbf24", bad: "#f87171", first: "#2dd4bf", second: "#a5b4fc", third: "#f472b6", line: "#374151", text: "#d1d5db" };
  /* Medians and the slowest are far apart. Ticks at powers of ten; at 1, 2, 5, 10, 20 and so
     on where there are few of those. */
  const LOGARITHMIC = {
    type: "logarithmic",
    afterBuildTicks: (axis) => {
      const leading = axis.max / axis.min > 300 ? [1] : [1, 2, 5];
      const first = (value) => value / 10 ** Math.floor(Math.log10(value) + 1e-9);
      axis.ticks = axis.ticks.filter(({ value }) => leading.some((one) => Math.abs(first(value) - one) < 1e-6));
    },
  };
  const drawn = [];
  const colours = () => (document.documentElement.classList.contains("dark") ? DARK : LIGHT);

  const source = (canvas) => JSON.parse(document.getElementById(canvas.dataset.source).textContent);

  function dataset(line, canvas) {
    const colour = colours()[line.colour];
    const bars = canvas.dataset.chart !== "latency";
    return {
      label: line.label,
      data: line.values,
      more: line.more,
      backgroundColor: colour,
      borderColor: colour,
      borderWidth: bars ? 0 : 2,
      borderRadius: bars ? 2 : 0,
      maxBarThickness: 36,
      pointRadius: bars || line.values.length > 60 ? 0 : 2,
      pointHitRadius: 8,
      spanGaps: false,
      tension: 0.2,
    };
  }

  function options(canvas, data) {
    const { line, text } = colours();
    const stacked = canvas.dataset.chart !== "latency";
    const short = new Intl.NumberFormat("en-GB", { notation: "compact", maximumSignificantDigits: 3 });
    const exact = new Intl.NumberFormat("en-GB", { maximumFractionDigits: 4 });
    const unit = canvas.dataset.unit ? ` ${canvas.dataset.unit}` : "";
    return {
      animation: false,
      maintainAspectRatio: false,
      interaction: { mode: "index", intersect: false },
      onClick: (event, elements, chart) => open(chart, event),
      onHover: (event, elements) => (event.native.target.style.cursor = elements.length ? "pointer" : ""),
      scales: {
        x: { stacked, grid: { display: false }, border: { color: line }, ticks: { color: text, maxRotation: 0, autoSkipPadding: 16 } },
        y: { ...(stacked ? { stacked, beginAtZero: true } : LOGARITHMIC), grid: { color: line }, border: { display: false }, ticks: { color: text, ...(stacked ? { maxTicksLimit: 5 } : { autoSkip: false }), precision: canvas.dataset.chart === "live" || canvas.dataset.chart === "calls" ? 0 : undefined, callback: (value) => short.format(value) } },
      },
      plugins: {
        legend: { display: data.charts[canvas.dataset.chart].length > 1, align: "end", labels: { color: text, boxWidth: 10, boxHeight: 10 } },
        tooltip: {
          callbacks: {
            title: (items) => data.titles[items[0].dataIndex],
            label: (item) => `${item.dataset.label}: ${exact.format(item.parsed.y)}${unit}`,
          },
        },
      },
    };
  }

  /* Over a bar: its own calls, such as those with 5xx; elsewhere: all calls of that time. */
  function open(chart, event) {
    const at = chart.getElementsAtEventForMode(event, "index", { intersect: false }, false)[0];
    if (!at) return;
    const on = chart.getElementsAtEventForMode(event, "nearest", { intersect: true }, false)[0];
    const more = on ? chart.data.datasets[on.datasetIndex].more : "";
    const url = chart.usage.urls[at.index];
    location.href = more ? `${url}&${more}` : url;
  }

  function draw(canvas, data) {
    const chart = new Chart(canvas, {
      type: canvas.dataset.chart === "latency" ? "line" : "bar",
      data: { labels: data.labels, datasets: data.charts[canvas.dataset.chart].map((line) => dataset(line, canvas)) },
      options: options(canvas, data),
    });
    chart.usage = data;
    drawn.push(chart);
    return chart;
  }

  function redraw(chart, data) {
    const canvas = chart.canvas;
    chart.usage = data;
    chart.data.labels = data.labels;
    chart.data.datasets = data.charts[canvas.dataset.chart].map((line) => dataset(line, canvas));
    chart.options = options(canvas, data);
    chart.update("none");
  }

  document.addEventListener("DOMContentLoaded", () => {
    for (const canvas of document.querySelectorAll("canvas[data-chart]")) draw(canvas, source(canvas));
    new MutationObserver(() => drawn.forEach((chart) => redraw(chart, chart.usage))).observe(
      document.documentElement, { attributes: true, attributeFilter: ["class"] }
    );
  });

  return { of: (name) => drawn.find((chart) => chart.canvas.dataset.chart === name), redraw };
})();
