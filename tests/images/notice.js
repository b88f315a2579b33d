// Runs the extension in a page that consists of what it uses, and prints the commands it gave.
// argv: the extension, and a JSON list of what hub and server answer, one entry for each look:
// {"notice": ..., "started": ...}; a part that is missing does not answer.
'use strict';
const fs = require('fs');
const vm = require('vm');

const [file, text] = process.argv.slice(2);
const answers = JSON.parse(text);
const said = [];
let turn = 0;
let next = null;
let ids = 0;

const page = {
  fetch: async url => {
    const part = url.startsWith('/hub/') ? 'notice' : 'started';
    const asked = { '/hub/fleet/notice': 'notice', '/user/ann/api/status': 'started' }[url];
    if (asked !== part || !(part in answers[turn])) {
      throw new TypeError('Failed to fetch ' + url);
    }
    return { ok: true, json: async () => ({ [part]: answers[turn][part] }) };
  },
  document: {
    cookie: 'a=b; _xsrf=token',
    getElementById: () => ({
      textContent: JSON.stringify({ hubPrefix: '/hub/', baseUrl: '/user/ann/' })
    })
  },
  window: { setTimeout: callback => { next = callback; } },
  console
};
const commands = {
  execute: async (command, options) => {
    said.push([turn, command.replace('apputils:', ''), options.id ?? '', options.message ?? '']);
    return command === 'apputils:notify' ? `n${++ids}` : true;
  }
};

const settled = async () => {
  while (next === null) {
    await new Promise(done => setImmediate(done));
  }
};

(async () => {
  vm.runInNewContext(fs.readFileSync(file, 'utf8'), page);
  const factory = await page.window._JUPYTERLAB['@hubfleet/notice'].get('./extension');
  factory().default[0].activate({ commands });
  await settled();
  for (turn = 1; turn < answers.length; turn++) {
    const look = next;
    next = null;
    look();
    await settled();
  }
  console.log(JSON.stringify(said));
})();
