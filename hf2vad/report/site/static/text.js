"use strict";
// Numbers and times as text, and what the address of a page says.
hf2vad.text = (() => {
  const count = (value) => Math.round(value).toLocaleString("en");
  const number = (value, digits = 2) => (value === null || value === undefined ? "–" : value.toFixed(digits));
  const signed = (value, digits = 1) => (value < 0 ? "−" : "+") + Math.abs(value).toFixed(digits);
  const many = (value, one, several = `${one}s`) => `${count(value)} ${value === 1 ? one : several}`;

  // h:mm:ss.t
  function clock(seconds) {
    const tenths = Math.max(0, Math.round(seconds * 10));
    const two = (value) => String(value).padStart(2, "0");
    return `${Math.floor(tenths / 36000)}:${two(Math.floor(tenths / 600) % 60)}:${two(Math.floor(tenths / 10) % 60)}.${tenths % 10}`;
  }

  function length(seconds) {
    const short = (value) => value.toFixed(1).replace(/\.0$/, "");
    if (seconds < 120) return `${short(seconds)} s`;
    return seconds < 7200 ? `${short(seconds / 60)} min` : `${short(seconds / 3600)} h`;
  }

  const hash = () => Object.fromEntries(new URLSearchParams(location.hash.slice(1)));

  function setHash(values) {
    const kept = Object.entries(values).filter(([, value]) => value !== "" && value !== null && value !== undefined);
    const text = new URLSearchParams(kept).toString();
    history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
  }

  const momentUrl = (video, seconds) => `video.html#video=${video}&t=${seconds.toFixed(2)}`;

  return { count, number, signed, many, clock, length, hash, setHash, momentUrl };
})();
