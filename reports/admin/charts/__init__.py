"""Kinds of charts, a file each: `figure(answered, asked, …)` makes of a released answer what the chart's script draws.

`answered` is what REST answers, `asked` what the form asked. A figure is plain data, `{"data": traces, "layout": …}` of
plotly.js (plotly.com/javascript/reference), so that a test reads it and nothing of plotly is imported here. A cell that is
not told is a gap, never 0, and the legend names it.
"""
