// Keeps a page of the console as it is now: the server says when something has changed, and the page reads itself again.
'use strict';

(() => {
  const body = document.body;
  const find = (selector) => document.querySelector(selector);
  const all = (selector) => [...document.querySelectorAll(selector)];
  const every = Number(body.dataset.live ?? 0) * 1000;
  const age = find('#age');
  let readAt = Date.now(); // when the page was read, or was known to be as it is
  let reading = false;
  let isLive = every > 0;
  let isOld = false; // something has changed since it was read
  let notBefore = 0;
  let stream;
  let noStreamUntil = 0;
  const pause = () => Math.max(every, Number(body.dataset.cost) * 1000);

  function writeAge() {
    if (!age) return;
    const seconds = Math.round((Date.now() - readAt) / 1000);
    const zone = localStorage.getItem('waybill-zone') === 'local' ? 'here' : 'UTC';
    const shown = seconds < 120 ? `${seconds} s ago` : `${Math.round(seconds / 60)} min ago`;
    age.textContent = `${shown} · ${zone}${every > 0 && !isLive ? ' · stopped' : ''}`;
    age.classList.toggle('old', seconds > 10);
    age.classList.toggle('off', !isLive);
  }

  // Refreshing: never while somebody reads a row, has selected one, or writes.
  function isBusy() {
    return (
      document.hidden ||
      find('#live tbody tr:hover, #live input:checked, #live details[open], dialog[open]') !== null ||
      (document.activeElement !== null &&
        document.activeElement.closest('#live form, #live a, #live button') !== null)
    );
  }
  const idsOf = (root) => [...root.querySelectorAll('tr[data-id]')].map((row) => row.dataset.id);

  function replace(fresh) {
    const place = find('#live tbody tr.on')?.dataset.id;
    find('#live').replaceChildren(...fresh.childNodes);
    all('#live tr[data-id]')
      .find((row) => row.dataset.id === place)
      ?.classList.add('on');
    document.dispatchEvent(new Event('waybill-read'));
  }

  /** New rows would move those that somebody reads: a button says how many there are. */
  function offer(fresh, count) {
    let button = find('#fresh');
    if (!button) {
      button = document.createElement('button');
      button.id = 'fresh';
      button.type = 'button';
      button.className = 'fresh';
      find('#live').before(button);
    }
    button.textContent = `${count} new`;
    button.onclick = () => {
      button.remove();
      replace(fresh);
    };
  }

  async function refresh() {
    if (reading) return;
    reading = true;
    try {
      const answer = await fetch(location.href, {
        headers: { accept: 'text/html' },
        credentials: 'same-origin',
      });
      if (answer.status === 401) return location.reload();
      if (answer.status >= 500) throw new Error(answer.statusText);
      const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
      const fresh = page.querySelector('#live');
      if (!fresh || isBusy()) return;
      readAt = Date.now();
      isOld = false;
      for (const name of ['seen', 'cost']) body.dataset[name] = page.body.dataset[name] ?? body.dataset[name];
      document.title = page.title;
      const known = new Set(idsOf(document));
      const added =
        location.pathname === '/console/messages' ? idsOf(fresh).filter((id) => !known.has(id)).length : 0;
      if (added > 0 && known.size > 0) offer(fresh, added);
      else replace(fresh);
    } catch {
      // The server or the database is away: the age of the figures says so.
      notBefore = Date.now() + pause();
    } finally {
      reading = false;
      writeAge();
    }
  }

  // The server says when something has changed. A hidden or stopped page has no stream, so it costs nothing, and other tabs keep their connections.
  function listen() {
    const isWanted =
      body.dataset.seen !== undefined &&
      isLive &&
      !document.hidden &&
      'EventSource' in window &&
      Date.now() >= noStreamUntil;
    if (isWanted === (stream !== undefined)) return;
    if (!isWanted) {
      stream.close();
      stream = undefined;
      return;
    }
    const { seen, cost } = body.dataset;
    const database = new URLSearchParams(location.search).get('database');
    const query = new URLSearchParams({ seen, cost, ...(database !== null && { database }) });
    const own = (stream = new EventSource(`/console/events?${query}`));
    own.addEventListener('change', () => {
      isOld = true;
      step();
    });
    own.addEventListener('same', () => {
      if (!isOld) readAt = Date.now();
      writeAge();
    });
    own.addEventListener('error', () => {
      // It connects again by itself, unless the server refused it: the page then asks every few seconds, and for a stream again in a minute.
      if (own.readyState !== EventSource.CLOSED || own !== stream) return;
      stream = undefined;
      noStreamUntil = Date.now() + 60_000;
    });
  }

  function step() {
    listen();
    writeAge();
    if (!isLive || isBusy() || Date.now() < notBefore) return;
    if (isOld || (!stream && Date.now() - readAt >= pause())) void refresh();
  }
  setInterval(step, 1000);
  document.addEventListener('visibilitychange', step);
  document.addEventListener('waybill-zone', writeAge);
  document.addEventListener('waybill-live', () => {
    isLive = every > 0 && !isLive;
    step();
  });
  addEventListener('pagehide', () => stream?.close());
  step();
})();
