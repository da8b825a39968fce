// What is wrong with a page as a person would see it: sideways overflow, text that is cut off, too small or too faint.
(() => {
  const parse = (colour) => {
    const canvas = parse.canvas ??= new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [red, green, blue, alpha] = canvas.getImageData(0, 0, 1, 1).data;
    return [red, green, blue, alpha / 255];
  };
  const over = (top, below, opacity) => {
    const share = top[3] * opacity;
    return [0, 1, 2].map((part) => top[part] * share + below[part] * (1 - share)).concat(1);
  };
  // WCAG 2.2, relative luminance and contrast ratio.
  const luminance = (colour) => {
    const [red, green, blue] = colour.slice(0, 3).map((part) => {
      const share = part / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const contrast = (one, other) => {
    const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (light + 0.05) / (dark + 0.05);
  };
  const canvas = matchMedia("print").matches ? [255, 255, 255, 1]
    : parse(getComputedStyle(document.documentElement).colorScheme.includes("dark")
      && matchMedia("(prefers-color-scheme: dark)").matches ? "#121212" : "#ffffff");
  const background = (element) => {
    const above = [];
    for (let at = element; at; at = at.parentElement) above.unshift(parse(getComputedStyle(at).backgroundColor));
    return above.reduce((below, colour) => over(colour, below, 1), canvas);
  };
  const behind = (text, box) => {
    let colour = background(text.ownerSVGElement);
    for (const shape of text.ownerSVGElement.querySelectorAll("rect, path")) {
      if (!(shape.compareDocumentPosition(text) & Node.DOCUMENT_POSITION_FOLLOWING)) break;
      const of = shape.getBoundingClientRect();
      const middle = [box.left + Math.min(box.width / 2, 10), box.top + box.height / 2];
      if (of.left <= middle[0] && middle[0] <= of.right && of.top <= middle[1] && middle[1] <= of.bottom) {
        colour = over(parse(getComputedStyle(shape).fill), colour, 1);
      }
    }
    return colour;
  };
  const problems = [];
  const page = document.documentElement;
  if (page.scrollWidth > page.clientWidth) problems.push(`the page is ${page.scrollWidth} wide in ${page.clientWidth}`);
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let texts = 0;
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    const words = node.data.trim().slice(0, 40);
    if (!words || ["STYLE", "style", "TITLE"].includes(element.tagName)) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    const box = range.getBoundingClientRect();
    const style = getComputedStyle(element);
    if (!box.width || !box.height || style.visibility !== "visible") continue;
    const hidden = element.closest("thead") && getComputedStyle(element.closest("thead")).clipPath !== "none";
    if (hidden) continue;
    texts += 1;
    const inSvg = element instanceof SVGElement;
    const scrolls = element.closest(".wide");
    if (!scrolls && (box.right > page.clientWidth + 1 || box.left < -1)) problems.push(`cut off: ${words}`);
    const scale = inSvg ? element.ownerSVGElement.getBoundingClientRect().width / element.ownerSVGElement.viewBox.baseVal.width : 1;
    const size = parseFloat(style.fontSize) * scale;
    if (size < 8) problems.push(`${size.toFixed(1)} px high: ${words}`);
    if (box.width < 2.5 * size && box.height > 3.5 * size) problems.push(`squeezed: ${words}`);
    let opacity = 1;
    for (let at = element; at; at = at.parentElement) opacity *= parseFloat(getComputedStyle(at).opacity);
    const below = inSvg ? behind(element, box) : background(element);
    const colour = over(parse(inSvg ? style.fill : style.color), below, opacity);
    const ratio = contrast(colour, below);
    if (ratio < 4.5) problems.push(`contrast ${ratio.toFixed(1)}: ${words}`);
  }
  if (!texts) problems.push("no text is visible");
  return problems;
})()
