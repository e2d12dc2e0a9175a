// Browsers start no worker for a page that lies on disk: there the search runs in a hidden frame instead.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      document.body.append(frame);
      this.inside = frame.contentWindow;
      addEventListener("message", (event) => {
        if (event.source !== this.inside) return;
        const message = new MessageEvent("message", { data: event.data });
        this.dispatchEvent(message);
        this.onmessage?.(message);
      });
      const load = "(url) => new Promise((done) => { const s = document.createElement('script'); s.src = url; s.onload = done; document.body.append(s); })";
      const start = `postMessage = (data) => parent.dispatchEvent(new MessageEvent("message", { data, source: window }));
        const load = ${load};
        importScripts = (...urls) => urls.reduce((before, url) => before.then(() => load(url)), Promise.resolve());`;
      this.ready = new Promise((done) => {
        this.inside.document.open();
        this.inside.document.write(`<body><script>${start}</${"script"}><script src="${url}"></${"script"}></body>`);
        this.inside.document.close();
        this.inside.addEventListener("load", done);
      });
    }

    postMessage(data) {
      this.ready.then(() => this.inside.dispatchEvent(new MessageEvent("message", { data })));
    }
  };
}
