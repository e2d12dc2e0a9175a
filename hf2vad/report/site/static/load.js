"use strict";
// Data are scripts that call hf2vad.put(name, value): a page on disk may load a script, but not fetch a file.
const hf2vad = (() => {
  const asked = new Map();

  function put(name, value) {
    asked.get(name)?.resolve(value);
  }

  // The value of data/<name>.js, loaded once.
  function load(name) {
    if (asked.has(name)) return asked.get(name).promise;
    const one = {};
    one.promise = new Promise((resolve, reject) => Object.assign(one, { resolve, reject }));
    asked.set(name, one);
    const script = document.createElement("script");
    script.src = `data/${name}.js`;
    script.addEventListener("error", () => one.reject(new Error(`data/${name}.js is not there or cannot be read`)));
    document.head.append(script);
    return one.promise;
  }

  // What to do with a page's promise: its error is told on the page.
  function shown(promise) {
    return promise.catch((error) => {
      const problem = document.getElementById("problem");
      problem.textContent = error.message;
      problem.hidden = false;
    });
  }

  return { put, load, shown };
})();
