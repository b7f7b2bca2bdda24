//! How the report looks: on a screen, in the dark, and on paper.

pub(super) const SHEET: &str = "\
:root { color-scheme: light dark; --back: #f6f7f9; --paper: #fff; --ink: #1c2430; --soft: #5a6676; --line: #d9dee6;
  --critical: #8f1d3f; --high: #c8402a; --medium: #b7791f; --low: #3f7f4f; --info: #5b7fa6; --unknown: #7a7a7a; }
@media (prefers-color-scheme: dark) { :root { --back: #12161c; --paper: #1a2029; --ink: #e6eaf0; --soft: #9aa6b6;
  --line: #2d3643; --critical: #c2426b; --high: #e0624b; --medium: #c98b2e; --low: #57a06a; --info: #6f94bd; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
header, main, footer { max-width: 76rem; margin: 0 auto; padding: 1rem 1.5rem; }
.kind { margin: 1rem 0 0; color: var(--soft); text-transform: uppercase; letter-spacing: .08em; font-size: .8rem; }
h1 { margin: 0 0 .5rem; font-size: 1.8rem; overflow-wrap: anywhere; }
h2 { margin: 1.5rem 0 .25rem; font-size: 1.25rem; }
.facts { display: flex; flex-wrap: wrap; gap: .25rem 2rem; margin: 0; }
.facts dt { color: var(--soft); font-size: .8rem; }
.facts dd { margin: 0; overflow-wrap: anywhere; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); gap: .75rem; margin: 0; padding: 0; }
.cards li { list-style: none; padding: .75rem 1rem; background: var(--paper); border: 1px solid var(--line);
  border-radius: .5rem; color: var(--soft); }
.cards strong { display: block; color: var(--ink); font-size: 1.6rem; line-height: 1.2; }
.notes { margin: .75rem 0; padding: 0; list-style: none; }
.notes li, .alarm { margin: .4rem 0; padding: .5rem .9rem; background: var(--paper); border-left: 4px solid var(--info);
  overflow-wrap: anywhere; }
.notes .warn { border-color: var(--medium); }
.alarm { border-color: var(--critical); }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); gap: .75rem; }
figure { margin: 0; padding: .75rem 1rem; background: var(--paper); border: 1px solid var(--line); border-radius: .5rem; }
figcaption { margin-bottom: .4rem; font-weight: 600; }
svg { display: block; width: 100%; height: auto; }
svg text { fill: var(--ink); font: 13px system-ui, sans-serif; }
svg .count { fill: var(--soft); }
rect.critical { fill: var(--critical); } rect.high { fill: var(--high); } rect.medium { fill: var(--medium); }
rect.low { fill: var(--low); } rect.info { fill: var(--info); } rect.unknown { fill: var(--unknown); }
.note { color: var(--soft); }
code { font: .9em ui-monospace, monospace; overflow-wrap: anywhere; }
details { margin: .3rem 0; background: var(--paper); border: 1px solid var(--line); border-left: 5px solid var(--unknown);
  border-radius: .35rem; }
details.critical, details.failed { border-left-color: var(--critical); } details.high { border-left-color: var(--high); }
details.medium { border-left-color: var(--medium); } details.low, details.checked { border-left-color: var(--low); }
details.info { border-left-color: var(--info); }
summary { display: grid; grid-template-columns: 5.5rem 15rem 1fr 3rem; gap: .75rem; padding: .45rem .8rem; cursor: pointer;
  align-items: baseline; }
.rating { font-weight: 600; }
.where { color: var(--soft); overflow-wrap: anywhere; }
.name { overflow-wrap: anywhere; }
.score { text-align: right; font-variant-numeric: tabular-nums; }
details dl { display: grid; grid-template-columns: 12rem 1fr; gap: .1rem 1rem; margin: 0; padding: .5rem 1rem .9rem;
  border-top: 1px solid var(--line); }
dt { grid-column: 1; color: var(--soft); font-size: .85rem; }
dt small { display: block; font-style: italic; }
details dd { grid-column: 2; margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; }
table { width: 100%; margin: .75rem 0; border-collapse: collapse; background: var(--paper); }
th, td { padding: .3rem .6rem; border: 1px solid var(--line); text-align: right; font-variant-numeric: tabular-nums; }
th:first-child, td:first-child { text-align: left; overflow-wrap: anywhere; }
td small { color: var(--soft); }
footer { color: var(--soft); font-size: .85rem; }
@media (max-width: 44rem) { summary { grid-template-columns: 5.5rem 1fr 3rem; } .name { grid-column: 1 / -1; grid-row: 2; }
  details dl { display: block; } }
@media print { body { background: none; } details { break-inside: avoid; } }
";
