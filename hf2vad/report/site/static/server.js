"use strict";
// What the review server offers; it answers this address itself. Without one pages keep marks in the browser.
hf2vad.server = null;
