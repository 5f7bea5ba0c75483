"""The style sheet of a page: light, dark where the reader's system is, and print."""

_LIGHT = """
:root {
  color-scheme: light dark;
  --ink: #1d2733; --soft: #55606d; --rule: #dfe3e8; --page: #f6f7f9; --card: #fff; --accent: #1f65ad;
  --good: #0b6147; --good-bg: #dff2ea; --care: #7a4b00; --care-bg: #fbecd0;
  --bad: #9c2415; --bad-bg: #fbe3df; --quiet: #47515e; --quiet-bg: #e7eaee;
}
"""

_DARK = """
@media (prefers-color-scheme: dark) {
  :root {
    --ink: #e6eaef; --soft: #a3adb9; --rule: #343d48; --page: #14181d; --card: #1c2229; --accent: #7fb4ea;
    --good: #7fd9b4; --good-bg: #123528; --care: #f0c270; --care-bg: #3b2c0e;
    --bad: #ff9d8e; --bad-bg: #43201b; --quiet: #b9c2cc; --quiet-bg: #2c343d;
  }
  svg { border-radius: 6px; padding: .3rem; }
}
"""

_TEXT = """
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body {
  margin: 0; background: var(--page); color: var(--ink);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
}
.page { max-width: 66rem; margin: 0 auto; padding: 2.5rem 1.25rem 3rem; }
h1 { font-size: 1.95rem; line-height: 1.2; letter-spacing: -.01em; margin: 0 0 .35rem; overflow-wrap: break-word; }
h2 { font-size: 1.35rem; line-height: 1.25; margin: 0 0 .9rem; overflow-wrap: break-word; }
h3 { font-size: .95rem; line-height: 1.35; margin: 0; overflow-wrap: anywhere; }
p { margin: 0 0 .8rem; max-width: 44rem; overflow-wrap: break-word; }
a { color: var(--accent); }
section { margin-top: 2.6rem; padding-top: 1.7rem; border-top: 1px solid var(--rule); }
.subtitle { color: var(--soft); font-size: 1.05rem; margin: 0; }
.headline, .card, figure, .scroll { background: var(--card); border: 1px solid var(--rule); border-radius: 10px; }
.headline { margin: 1.4rem 0 0; padding: 1.1rem 1.3rem; }
.headline p { font-size: 1.1rem; line-height: 1.5; max-width: none; margin: 0; }
.headline p + p { margin-top: .6rem; }
nav { margin: 1.5rem 0 0; }
nav ol { margin: 0; padding: 0; list-style: none; display: flex; flex-wrap: wrap; gap: .3rem 1.4rem; counter-reset: n; }
nav li { counter-increment: n; }
nav li::before { content: counter(n) "."; color: var(--soft); margin-right: .35em; }
.note { font-size: .86rem; line-height: 1.45; color: var(--soft); margin: .4rem 0 0; }
"""

_CARDS = """
.cards { list-style: none; margin: 0 0 1.5rem; padding: 0; display: grid; gap: .8rem; }
.cards { grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr)); }
.card { padding: .95rem 1.1rem; min-width: 0; break-inside: avoid; }
.card header { display: flex; flex-wrap: wrap; align-items: center; gap: .35rem .7rem; margin-bottom: .5rem; }
.card p { margin: 0 0 .5rem; max-width: none; }
.card > :last-child { margin-bottom: 0; }
.badge { display: inline-block; font-size: .8rem; font-weight: 600; line-height: 1.5; }
.badge { padding: .05rem .6rem; border-radius: 1rem; white-space: nowrap; }
.mark { margin-right: .4em; }
.good { color: var(--good); background: var(--good-bg); }
.care { color: var(--care); background: var(--care-bg); }
.bad { color: var(--bad); background: var(--bad-bg); }
.quiet { color: var(--quiet); background: var(--quiet-bg); }
.mend { font-size: .93rem; }
.numbers { display: flex; flex-wrap: wrap; gap: .1rem 1.1rem; margin: .6rem 0 0; }
.numbers { font-size: .86rem; color: var(--soft); }
.numbers div { display: flex; gap: .4rem; min-width: 0; }
.numbers dt { overflow-wrap: anywhere; }
.numbers dd { margin: 0; color: var(--ink); font-variant-numeric: tabular-nums; white-space: nowrap; }
"""

_FIGURES = """
figure { margin: 0 0 1.6rem; padding: 1.1rem 1.2rem; }
figcaption { font-size: .93rem; line-height: 1.5; color: var(--soft); max-width: 48rem; overflow-wrap: break-word; }
.panels { display: grid; gap: 1.4rem 1.2rem; align-items: start; margin-bottom: .9rem; }
.panels:last-child { margin-bottom: 0; }
.across-2 { grid-template-columns: repeat(auto-fit, minmax(min(100%, 21rem), 1fr)); }
.across-3 { grid-template-columns: repeat(auto-fit, minmax(min(100%, 17.5rem), 1fr)); }
.panel { min-width: 0; break-inside: avoid; }
.panel h3 { margin-bottom: .3rem; }
svg { display: block; width: 100%; height: auto; background: #fff; }
svg * { stroke-linejoin: round; stroke-linecap: butt; }
.alone .panel { max-width: 38rem; }
@media (min-width: 60rem) {
  .alone { display: grid; grid-template-columns: minmax(0, 38rem) minmax(11rem, 1fr); gap: 1.6rem; }
  .alone .panels { margin-bottom: 0; }
  .alone figcaption { align-self: center; }
}
"""

_TABLES = """
.scroll { overflow-x: auto; margin: 0 0 1.6rem; padding: .3rem .3rem .5rem; }
.scroll .note { padding: 0 .8rem .3rem; max-width: none; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; line-height: 1.4; }
caption { text-align: left; font-weight: 600; font-size: .95rem; padding: .7rem .8rem .5rem; }
th, td { padding: .38rem .8rem; text-align: left; vertical-align: baseline; }
thead th { color: var(--soft); font-weight: 600; font-size: .85rem; vertical-align: bottom; }
thead th { border-bottom: 1px solid var(--rule); }
tbody th { font-weight: 400; }
tbody tr + tr > * { border-top: 1px solid var(--rule); }
.num { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
thead .num { white-space: normal; }
.num + :not(.num) { padding-left: 1.8rem; }
footer { margin-top: 2.6rem; padding-top: 1.7rem; border-top: 1px solid var(--rule); }
footer .scroll { width: fit-content; max-width: 100%; }
footer table { font-size: .84rem; width: auto; }
footer tbody th { color: var(--soft); }
footer td { overflow-wrap: anywhere; }
"""

_PHONE = """
@media (max-width: 40rem) {
  .page { padding: 1.4rem .9rem 2rem; }
  h1 { font-size: 1.6rem; }
  section { margin-top: 2rem; padding-top: 1.3rem; }
  figure { padding: .9rem .8rem; }
  th, td { padding: .35rem .55rem; }
  tbody th { min-width: 10rem; }
  caption { padding: .7rem .55rem .5rem; }
  .scroll .note { padding: 0 .55rem .3rem; }
}
"""

_PRINT = """
@media print {
  :root {
    color-scheme: light;
    --ink: #000; --soft: #444; --rule: #bbb; --page: #fff; --card: #fff; --accent: #000;
    --good: #0b6147; --good-bg: #fff; --care: #7a4b00; --care-bg: #fff;
    --bad: #9c2415; --bad-bg: #fff; --quiet: #47515e; --quiet-bg: #fff;
  }
  html { font-size: 10pt; }
  .page { max-width: none; padding: 0; }
  nav { display: none; }
  h2, h3, caption { break-after: avoid; }
  figure, .card, tr { break-inside: avoid; }
  .badge { border: 1px solid currentColor; }
  .scroll { overflow: visible; border: 0; padding: 0; }
  figure { border: 0; padding: 0; }
  section { margin-top: 1.4rem; padding-top: 1rem; }
}
"""

SHEET = _LIGHT + _DARK + _TEXT + _CARDS + _FIGURES + _TABLES + _PHONE + _PRINT
"""Everything, in the order in which later rules win."""
