"""How a page looks: light and dark, from a phone to a wall. Colours differ in brightness too, not by hue alone."""

STYLE = """
:root{color-scheme:light dark;--paper:#fff;--ink:#1d2126;--soft:#57616b;--line:#d3d9df;--band:#f4f6f8;--mark:#1965b0;
--c1:#c05a00;--c2:#2a7d76;--c3:#8a3b8f;--c4:#8a6d00;--c5:#6b7480}
@media(prefers-color-scheme:dark){:root{--paper:#16191d;--ink:#e4e7ea;--soft:#a3aeb8;--line:#3a424b;--band:#1e2227;
--mark:#6aa9e9;--c1:#f0a04b;--c2:#5ec4b6;--c3:#cf8fd6;--c4:#d9bf55;--c5:#9aa5b0}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:100rem;padding:1.5rem clamp(.8rem,3vw,2rem) 3rem;background:var(--paper);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif;overflow-wrap:anywhere}
h1{font-size:1.45rem;line-height:1.25;margin:0 0 .6rem}
h2{font-size:1.15rem;margin:2.2rem 0 .4rem}
h3{font-size:1rem;margin:0;display:inline}
h2 small,h3 small{font-weight:400;font-size:.85rem;color:var(--soft)}
nav{display:flex;flex-wrap:wrap;gap:.1rem .9rem;font-size:.85rem;margin-top:.8rem}
a{color:var(--mark)}
:focus-visible{outline:2px solid var(--mark);outline-offset:2px}
.skip{position:absolute;left:-99rem}
.skip:focus{position:static}
p{margin:.25rem 0;max-width:75rem}
.headline{border-left:4px solid var(--mark);padding:.5rem .8rem;background:var(--band)}
.headline p:first-child{font-weight:600}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,9.5rem),1fr));gap:.7rem;margin:.2rem 0 .6rem}
.tiles div{display:flex;flex-direction:column}
.tiles dd{margin:0;font-size:1.35rem;font-weight:600;line-height:1.2;order:-1}
.tiles dt{font-size:.82rem;color:var(--soft)}
.runs{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,26rem),1fr));gap:1rem}
.run{display:flex;gap:.9rem;border:1px solid var(--line);border-radius:6px;padding:.8rem;background:var(--band)}
.run>div:last-child{flex:1;min-width:0}
.run h2{margin:0 0 .5rem;font-size:1rem}
.run .tiles{grid-template-columns:repeat(auto-fit,minmax(min(100%,6.5rem),1fr))}
.run .tiles dd{font-size:1.05rem}
.run small{color:var(--soft)}
.thumb{flex:none;width:6rem}
.thumb svg{width:100%;border-radius:3px;border:1px solid var(--line)}
.notes{color:var(--soft);font-size:.82rem;margin:.4rem 0 0;padding:0;list-style:none}
.scroll{overflow-x:auto;max-width:100%;margin:.5rem 0}
table{border-collapse:collapse;width:max-content;font-size:.85rem;font-variant-numeric:tabular-nums}
th,td{padding:.25rem .7rem .25rem 0;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap;
vertical-align:top;overflow-wrap:normal}
th{font-weight:600;color:var(--soft)}
.l{text-align:left}
td.l{white-space:normal;max-width:min(26rem,70vw)}
tr:last-child td{border-bottom:0}
summary{cursor:pointer;color:var(--mark);margin:.4rem 0}
.fold{border-top:1px solid var(--line);padding:.15rem 0}
.fold>summary{margin:.25rem 0}
.fold>div{padding:0 0 .8rem 1.1rem}
.pictures{display:flex;flex-wrap:wrap;gap:.2rem 1.5rem}
.gallery{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,19rem),1fr));gap:.4rem 1.5rem}
.wall{grid-column:1/-1}
figure{margin:.6rem 0;max-width:100%;min-width:0}
figcaption{font-size:.88rem;color:var(--soft);margin-bottom:.3rem}
.images{display:grid;grid-template-columns:repeat(auto-fit,minmax(4.2rem,1fr));gap:.4rem;max-width:26rem}
.images small{color:var(--soft);font-size:.75rem;line-height:1.2;display:block}
code{font:.85em ui-monospace,monospace;background:var(--band);padding:.1em .3em;overflow-wrap:anywhere}
.images.one{max-width:15rem}
.images.map svg{max-height:11rem}
.images svg{width:100%;border-radius:3px;border:1px solid var(--line)}
.key{display:flex;align-items:center;gap:.5rem;font-size:.78rem;color:var(--soft)}
.ramp{flex:none;width:7rem;height:.6rem;border-radius:2px;border:1px solid var(--line)}
.spikes{background:linear-gradient(90deg,#171a1f,#73215c,#e05c38,#fceb8c)}
.signed{background:linear-gradient(90deg,#8cccff,#1f6bcc,#171a1f,#cc610f,#ffd173)}
.grey{background:linear-gradient(90deg,#000,#808080,#fff)}
svg{display:block;height:auto;font-size:12px}
svg.flow,svg.timeline,svg.stacks{width:100%}
svg.stacks{max-width:32rem}
.wall svg{max-width:75rem}
svg image{image-rendering:pixelated}
.one:not(.map) image{image-rendering:auto}
svg text{fill:var(--ink)}
svg .name{font-weight:600;font-size:14px}
svg .axis,svg .tick{fill:var(--soft)}
svg .over{fill:var(--paper)}
.narrow{display:none}
@media(max-width:44rem){.narrow{display:block}.wide{display:none}}
.box{fill:var(--band);stroke:var(--line)}
.way{fill:none;stroke:var(--soft);stroke-width:1.5}
.vectors{fill:none;stroke:#fff;stroke-width:1;stroke-linecap:round}
.band{fill:var(--band)}
.s0{fill:var(--mark)}.s1{fill:var(--c1)}.s2{fill:var(--c2)}.s3{fill:var(--c3)}.s4{fill:var(--c4)}.s5{fill:var(--c5)}
.error{stroke:var(--ink);stroke-width:1.5;fill:none}
path.grid{stroke:var(--line);fill:none}
.line{fill:none;stroke-width:1.6}
.l0{stroke:var(--mark)}.l1{stroke:var(--c1);stroke-dasharray:5 3}.l2{stroke:var(--c2)}.l3{stroke:var(--c3)}
.l4{stroke:var(--c4)}
@media print{details>*{display:block}nav,.skip{display:none}}
"""
