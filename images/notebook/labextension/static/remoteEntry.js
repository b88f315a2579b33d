// Tells a student when the machine under the server is taken away, and when the server is back.
// Written by hand in the form that JupyterLab loads (a container of module federation with `init`
// and `get`), so that nothing is built.
(function () {
  'use strict';

  const QUIET_MS = 10000;
  const BUSY_MS = 3000;

  const MOVING =
    'Your server moves to another machine. Keep this page open: it comes back by itself, with your files.';
  const BACK =
    'Your server runs on another machine now, with your files. Restart your kernels to go on.';

  // The hub answers for the user's own worker; the browser sends the hub's cookie along. Undefined
  // where the hub restarts or the connection is away.
  async function ask(url) {
    try {
      const answer = await fetch(url, { credentials: 'same-origin', cache: 'no-store' });
      return answer.ok ? (await answer.json()).notice : undefined;
    } catch (error) {
      return undefined;
    }
  }

  // When the server under this page has started, undefined where it does not answer. Jupyter counts
  // this request for no activity; it wants the token against forged requests, as JupyterLab sends it.
  async function started(url) {
    const token = /(?:^|; )_xsrf=([^;]*)/.exec(document.cookie);
    try {
      const answer = await fetch(url, {
        credentials: 'same-origin',
        cache: 'no-store',
        headers: token ? { 'X-XSRFToken': token[1] } : {}
      });
      return answer.ok ? (await answer.json()).started : undefined;
    } catch (error) {
      return undefined;
    }
  }

  // One notification, whose words follow what happens; closed by the student, it stays closed until
  // there is other news.
  function board(commands) {
    let id = null;
    let news = '';
    return {
      async say(kind, message, type) {
        if (id !== null && news === kind) {
          await commands.execute('apputils:update-notification', {
            id: id,
            message: message,
            type: type,
            autoClose: false
          });
          return;
        }
        await this.clear();
        news = kind;
        id = await commands.execute('apputils:notify', {
          message: message,
          type: type,
          options: { autoClose: false }
        });
      },
      async clear() {
        if (id !== null) {
          await commands.execute('apputils:dismiss-notification', { id: id });
          id = null;
        }
      }
    };
  }

  function watch(commands, noticeUrl, statusUrl) {
    const shown = board(commands);
    let before = null; // start of the server that is under notice, null without a notice
    let past = ''; // notice that the server has got away from; the hub learns it half a minute later

    async function look() {
      const notice = await ask(noticeUrl);
      if (before === null) {
        if (notice && notice.id !== past) {
          past = notice.id;
          before = (await started(statusUrl)) || '';
          await shown.say(notice.id, notice.sentence, 'warning');
        }
        return;
      }
      const now = await started(statusUrl);
      if (now === undefined) {
        await shown.say('moving', MOVING, 'info');
      } else if (before !== '' && now !== before) {
        before = null;
        await shown.say('back', BACK, 'success');
      } else if (notice) {
        before = now;
        await shown.say(notice.id, notice.sentence, 'warning');
      } else if (notice === null) {
        before = null;
        past = '';
        await shown.clear();
      }
    }

    async function again() {
      await look().catch(error => console.error('@hubfleet/notice', error));
      window.setTimeout(again, before === null ? QUIET_MS : BUSY_MS);
    }
    again();
  }

  const plugin = {
    id: '@hubfleet/notice:plugin',
    description: 'Shows a notification when the machine under the server is taken away, and when it is back.',
    autoStart: true,
    activate: app => {
      const config = JSON.parse(document.getElementById('jupyter-config-data').textContent);
      if (config.hubPrefix) {
        const hub = config.hubPrefix.replace(/\/?$/, '/');
        const server = config.baseUrl.replace(/\/?$/, '/');
        watch(app.commands, hub + 'fleet/notice', server + 'api/status');
      }
    }
  };

  const container = {
    init: () => undefined,
    get: async () => () => ({ __esModule: true, default: [plugin] })
  };
  window._JUPYTERLAB = window._JUPYTERLAB || {};
  window._JUPYTERLAB['@hubfleet/notice'] = container;
})();
