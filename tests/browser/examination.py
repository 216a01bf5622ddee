# ruff: noqa: E501  lines of JavaScript
"""What an accessibility checker would look at first, as scripts that run in the page and give what is wrong."""

NAMELESS = """() => [...document.querySelectorAll(
  'a[href], button, input, select, textarea, summary, [role=button], [role=region], dialog, nav, form[role]')]
  .filter((one) => one.checkVisibility())
  .filter((one) => !(one.getAttribute('aria-label') || one.innerText?.trim() || one.labels?.length
    || (one.getAttribute('aria-labelledby') ?? '').split(' ').some((id) => document.getElementById(id)?.textContent.trim())
    || one.nodeName === 'FORM'))
  .map((one) => one.outerHTML.slice(0, 120))"""

STRUCTURE = """() => {
  const wrong = [];
  if (!document.documentElement.lang) wrong.push('no language');
  if (document.querySelectorAll('h1').length !== 1) wrong.push('not exactly one h1');
  for (const name of ['header', 'nav', 'main', '[role=search]', '[aria-live]'])
    if (!document.querySelector(name)) wrong.push(`no ${name}`);
  for (const table of document.querySelectorAll('table'))
    if (!table.caption?.textContent.trim() || !table.querySelector('th[scope=col]')) wrong.push('a table without caption or headers');
  for (const image of document.querySelectorAll('svg'))
    if (!image.querySelector('title')?.textContent || !image.querySelector('desc')?.textContent) wrong.push('an SVG without title or desc');
  for (const image of document.querySelectorAll('img')) if (!image.hasAttribute('alt')) wrong.push('an image without alt');
  const ids = [...document.querySelectorAll('[id]')].map((one) => one.id);
  for (const id of new Set(ids)) if (ids.filter((one) => one === id).length > 1) wrong.push(`id ${id} twice`);
  for (const one of document.querySelectorAll('[aria-labelledby], [for]'))
    for (const id of (one.getAttribute('aria-labelledby') ?? one.getAttribute('for')).split(' '))
      if (!document.getElementById(id)) wrong.push(`nothing has the id ${id}`);
  let level = 1;
  for (const heading of document.querySelectorAll('h1, h2, h3, h4')) {
    const own = Number(heading.nodeName[1]);
    if (own > level + 1) wrong.push(`${heading.nodeName} after H${level}`);
    level = own;
  }
  return wrong;
}"""

FAINT = """() => {
  const parse = (colour) => {
    const found = colour.match(/[\\d.]+/g).map(Number);
    return { rgb: found.slice(0, 3), alpha: found[3] ?? 1 };
  };
  const light = (rgb) => {
    const [r, g, b] = rgb.map((one) => one / 255).map((one) => (one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (node) => {
    for (let at = node; at; at = at.parentElement) {
      if (at instanceof SVGElement && at.matches('g')) {
        const rect = at.querySelector(':scope > rect');
        if (rect) return parse(getComputedStyle(rect).fill).rgb;
      }
      const { rgb, alpha } = parse(getComputedStyle(at).backgroundColor);
      if (alpha === 1) return rgb;
    }
    return [255, 255, 255];
  };
  const wrong = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !node.checkVisibility() || node.closest('noscript, title, desc, .hidden')) continue;
    const style = getComputedStyle(node);
    const fore = light(parse(node instanceof SVGElement ? style.fill : style.color).rgb);
    const back = light(behind(node));
    const ratio = (Math.max(fore, back) + 0.05) / (Math.min(fore, back) + 0.05);
    const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && Number(style.fontWeight) >= 700);
    if (ratio < (large ? 3 : 4.5)) wrong.push(`${ratio.toFixed(2)} ${walker.currentNode.data.trim().slice(0, 40)}`);
  }
  return wrong;
}"""

OVERFLOWING = """() => document.documentElement.scrollWidth <= document.documentElement.clientWidth ? [] :
  [...document.querySelectorAll('body *')].filter((one) => one.getBoundingClientRect().right > innerWidth + 1)
  .map((one) => `${one.nodeName} ${one.id} ${one.className}`).slice(0, 5)"""

SMALL_TARGETS = """() => [...document.querySelectorAll('a[href], button, input, summary')].filter((one) => one.checkVisibility())
  .filter((one) => !one.closest('p, .skip, .hidden') && one.getBoundingClientRect().height < 24)
  .map((one) => one.outerHTML.slice(0, 100))"""
