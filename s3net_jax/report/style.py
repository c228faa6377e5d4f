"""How pages look: one style sheet, light and dark, for a wide screen and a phone."""

from __future__ import annotations

__all__ = ["STYLE"]

# The series' colours are Okabe and Ito's (2008), each lighter on a dark ground.
STYLE = """
:root{--paper:#f7f8fa;--card:#fff;--ink:#1b1e24;--faint:#5d6470;--line:#dfe3e8;--ours:#0067b0;
--tint:#e8f2fb;--s1:#0072b2;--s2:#d55e00;--s3:#00805f;--s4:#a8447f;--s5:#7a6200;--grey:#7d848f;
--truth:#fff;--mask:#00e5ff}
@media (prefers-color-scheme:dark){:root{--paper:#14171b;--card:#1d2126;--ink:#e7eaee;
--faint:#9aa3af;--line:#333a43;--ours:#6cbcff;--tint:#1b2f42;--s1:#56b4e9;--s2:#f0a04b;
--s3:#3ecfa3;--s4:#e39cc8;--s5:#e6d75a;--grey:#8b939e}}
*{box-sizing:border-box}html{-webkit-text-size-adjust:100%}
body{font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;
color:var(--ink);background:var(--paper);margin:0}
main{max-width:1180px;margin:auto;padding:28px 24px 64px}
h1{font-size:26px;line-height:1.25;margin:0 0 6px;overflow-wrap:anywhere}
h2{font-size:20px;margin:48px 0 10px}h3{font-size:15px;margin:0 0 8px}
p,ul{max-width:82ch;margin:8px 0}ul{padding-left:22px}.faint{color:var(--faint)}a{color:var(--ours)}
b,th{font-weight:600}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(160px,1fr));gap:12px;
margin:20px 0}.tiles>div{background:var(--card);border:1px solid var(--line);border-radius:10px;
padding:12px 16px}.tiles dt{color:var(--faint);font-size:13px}.tiles dd{margin:0}
.tiles b{display:block;font-size:28px;line-height:1.3;font-variant-numeric:tabular-nums}
.tiles span{font-size:13px}.tiles>div:first-child{border-left:4px solid var(--ours)}
.scroll{overflow-x:auto;background:var(--card);border:1px solid var(--line);border-radius:10px}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
caption{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
th,td{padding:7px 12px;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap}
tr:last-child>*{border-bottom:0 solid}thead th{color:var(--faint);font-size:13px}
tr>:first-child{text-align:left;position:sticky;left:0;background:var(--card)}
tbody th{font-weight:400}tr.ours>*{font-weight:600;background:var(--tint)}
td small{color:var(--faint);font-weight:400}
.strips{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:10px 16px}
.strip{display:grid;grid-template-columns:220px 1fr 64px;gap:0 16px;align-items:center}
.strip .name{text-align:right;overflow-wrap:anywhere;line-height:1.2}
.strip .figure{text-align:right;font-variant-numeric:tabular-nums}
.strip.head{font-size:13px}.strip svg{overflow:visible;display:block;color:var(--grey)}
.strip.ours svg,.strip.ours .figure,.strip.ours .name{color:var(--ours)}
.strip.ours .name{font-weight:600}.strip circle{fill:currentColor;fill-opacity:.5}
.strip .box{fill:currentColor;fill-opacity:.16}.strip .median{stroke:currentColor;stroke-width:3}
svg .grid{stroke:var(--line)}.ticks{position:relative;height:20px;font-size:12px;
color:var(--faint)}.ticks span{position:absolute;transform:translateX(-50%)}
.boxes{columns:3 260px;column-gap:14px}.box{break-inside:avoid}
.boxes .box{background:var(--card);border:1px solid var(--line);border-radius:10px;
padding:12px 16px;margin:0 0 14px;font-size:13px}.boxes dl{margin:0}
.boxes dl>div{display:flex;justify-content:space-between;gap:12px;padding:1px 0}
.boxes dt{color:var(--faint)}.boxes dd{margin:0;text-align:right;overflow-wrap:anywhere}
.controls{display:flex;flex-wrap:wrap;gap:6px 20px;align-items:center;max-width:none;margin:10px 0}
.controls label{display:inline-flex;gap:6px;align-items:center}.needs-script{display:none}
.scripted .needs-script{display:flex}select,button{font:inherit;color:inherit;
background:var(--card);border:1px solid var(--line);border-radius:6px;padding:3px 10px}
.chip{display:inline-block;width:22px;height:0;border-top:3px solid;border-radius:2px;
outline:2px solid #0009}.chip.truth{color:var(--truth)}.chip.mask{color:var(--mask)}
.switches{position:sticky;top:0;z-index:3;background:var(--paper);padding:8px 0;margin:40px 0 -24px;
border-bottom:1px solid var(--line)}
.gallery{display:grid;grid-template-columns:repeat(auto-fill,minmax(210px,1fr));gap:14px}
figure{margin:0}.gallery figure,.large figure{background:var(--card);border:1px solid var(--line);
border-radius:10px;padding:8px}figcaption{font-size:13px;margin-top:6px;line-height:1.4;
overflow-wrap:anywhere}.score{font-size:16px;font-variant-numeric:tabular-nums}
.shot{position:relative;border-radius:6px;overflow:hidden}.shot img{width:100%;height:auto;
display:block}.lines{position:absolute;inset:0;width:100%;height:100%;transition:opacity .15s}
.lines path{fill:none;stroke-width:1.8;vector-effect:non-scaling-stroke;stroke-linejoin:round}
.lines .halo{stroke:#000;stroke-opacity:.55;stroke-width:4}.lines .truth path:last-child{
stroke:var(--truth)}.lines .mask path:last-child{stroke:var(--mask)}
@media (hover:hover){.shot:hover .lines{opacity:0}}@media (hover:none){.switches .faint{display:none}}
body:has(#show-truth:not(:checked)) .lines .truth,
body:has(#show-mask:not(:checked)) .lines .mask{display:none}
.scripted .gallery .shot{cursor:zoom-in}.large{border:0;padding:0;background:none;cursor:zoom-out;
max-width:min(96vw,900px);width:900px}.large::backdrop{background:#000b}
.large img{max-height:86vh;object-fit:fill}
nav{display:flex;flex-wrap:wrap;gap:4px 18px;margin:14px 0 0}
article{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:14px 16px;
margin:0 0 18px}article header{display:flex;flex-wrap:wrap;gap:2px 12px;align-items:baseline;
margin-bottom:10px}article h3{font-size:17px;margin:0;overflow-wrap:anywhere}
article .score{font-size:22px;color:var(--ours)}
.panels{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(250px,100%),1fr));gap:14px}
.panels>figure{max-width:520px}.screen.playing{image-rendering:pixelated}
.reel{margin-top:12px}.reel .controls{margin:0 0 6px}.play{min-width:86px}
.frames{display:flex;gap:8px;overflow-x:auto;padding-bottom:4px}.frames figure{flex:1 0 88px;
max-width:150px}.frames img{width:100%;height:auto;display:block;border-radius:4px;
image-rendering:pixelated;border:2px solid transparent}.frames figcaption{margin-top:2px;
font-size:12px}.frames .now img{border-color:var(--ours)}
.scripted .frames img{cursor:pointer}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(300px,100%),1fr));
gap:14px 24px;margin-top:14px}.charts figure{max-width:470px}.charts figcaption{margin:0 0 4px}
.chart{width:100%;height:auto;display:block}.chart text{font-size:11px;fill:var(--faint)}
.series{fill:none;stroke:currentColor;stroke-width:2;stroke-linejoin:round}
circle[class^=s]{fill:currentColor}.s1{color:var(--s1)}.s2{color:var(--s2)}.s3{color:var(--s3)}
.s4{color:var(--s4)}.s5{color:var(--s5)}.legend{display:flex;flex-wrap:wrap;gap:0 16px;margin:2px 0;
font-size:12px}.legend span{display:inline-flex;gap:6px;align-items:center}
.difference{width:100%;min-width:180px;height:22px;display:block;overflow:visible;
color:var(--grey)}.difference .range{stroke:currentColor;stroke-width:3;stroke-linecap:round}
.difference circle{fill:currentColor}.difference .zero{stroke:var(--faint);stroke-dasharray:2 3}
.difference.better{color:var(--ours)}.difference.worse{color:var(--s2)}
@media (max-width:640px){main{padding:18px 14px 48px}h1{font-size:21px}h2{margin-top:36px}
.switches{margin-bottom:-14px}.strip{grid-template-columns:1fr 56px;padding-top:8px}.strip .name{text-align:left;order:-2}
.strip .figure{order:-1}.strip .plot{grid-column:1/-1;width:calc(100% - 16px)!important;
margin:auto}.strip.head{display:none}.strip.axis{padding:0}.strip.axis .name,
.strip.axis .figure{display:none}th,td{padding:6px 9px}tr>:first-child{white-space:normal;
min-width:104px}}
@media print{.scroll,.tiles>div,.strips{break-inside:avoid}}
"""
