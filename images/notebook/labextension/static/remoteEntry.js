// Tells a student when the machine under the server is taken away. Written by hand in the form that
// JupyterLab loads (a container of module federation with `init` and `get`), so that nothing is built.
(function () {
  'use strict';

  const EVERY_MS = 5000;

  // The hub answers for the user's own worker; the browser sends the hub's cookie along.
  async function ask(url) {
    const answer = await fetch(url, { credentials: 'same-origin', cache: 'no-store' });
    return answer.ok ? (await answer.json()).notice : null;
  }

  const plugin = {
    id: '@hubfleet/notice:plugin',
    description: 'Shows a notification when the machine under the server is taken away.',
    autoStart: true,
    activate: app => {
      const config = JSON.parse(document.getElementById('jupyter-config-data').textContent);
      const prefix = config.hubPrefix;
      if (!prefix) {
        return;
      }
      let shown = '';
      const look = async () => {
        try {
          const notice = await ask(prefix.replace(/\/?$/, '/') + 'fleet/notice');
          if (notice && notice.id !== shown) {
            shown = notice.id;
            await app.commands.execute('apputils:notify', {
              message: notice.sentence,
              type: 'warning',
              options: { autoClose: false }
            });
          }
        } catch (error) {
          // The hub restarts, or the connection is away: the next look tells.
        }
      };
      look();
      window.setInterval(look, EVERY_MS);
    }
  };

  const container = {
    init: () => undefined,
    get: async () => () => ({ __esModule: true, default: [plugin] })
  };
  window._JUPYTERLAB = window._JUPYTERLAB || {};
  window._JUPYTERLAB['@hubfleet/notice'] = container;
})();
