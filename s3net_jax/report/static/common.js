// Beginning of every script.

document.documentElement.classList.add('scripted');
const $ = (selector, root = document) => [...root.querySelectorAll(selector)];
