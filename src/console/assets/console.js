// The console's script. Every page can be read and every act can be done without it: it refreshes, and it listens to keys.
'use strict';

(() => {
  const body = document.body;
  const find = (selector) => document.querySelector(selector);
  const all = (selector) => [...document.querySelectorAll(selector)];
  const every = Number(body.dataset.live ?? 0) * 1000;
  const age = find('#age');
  let readAt = Date.now();
  let reading = false;
  let isLive = every > 0;
  let isLocal = localStorage.getItem('waybill-zone') === 'local';

  // Times in UTC or in the browser's zone.
  const two = (value) => String(value).padStart(2, '0');
  const inZone = (date, withDate) => {
    const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
    const time = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
    return withDate ? `${day} ${time}` : time;
  };
  function writeTimes() {
    for (const time of all('#live time[datetime]')) {
      time.dataset.utc ??= time.title;
      time.title = isLocal ? `${inZone(new Date(time.dateTime), true)} here` : time.dataset.utc;
      if (time.dataset.clock === undefined) continue;
      time.dataset.text ??= time.textContent;
      time.textContent = isLocal
        ? inZone(new Date(time.dateTime), time.dataset.clock === 'date')
        : time.dataset.text;
    }
  }

  function writeAge() {
    if (!age) return;
    const seconds = Math.round((Date.now() - readAt) / 1000);
    const zone = isLocal ? 'here' : 'UTC';
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
    const place = currentRow()?.dataset.id;
    find('#live').replaceChildren(...fresh.childNodes);
    all('#live tr[data-id]')
      .find((row) => row.dataset.id === place)
      ?.classList.add('on');
    writeTimes();
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
      const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
      const fresh = page.querySelector('#live');
      if (!fresh || isBusy()) return;
      readAt = Date.now();
      document.title = page.title;
      const known = new Set(idsOf(document));
      const added =
        location.pathname === '/console/messages' ? idsOf(fresh).filter((id) => !known.has(id)).length : 0;
      if (added > 0 && known.size > 0) offer(fresh, added);
      else replace(fresh);
    } catch {
      // The server is away: the age of the figures says so.
    } finally {
      reading = false;
      writeAge();
    }
  }

  setInterval(() => {
    writeAge();
    if (isLive && Date.now() - readAt >= every && !isBusy()) void refresh();
  }, 1000);
  document.addEventListener('visibilitychange', writeAge);

  // Rows.
  const rows = () => all('#live tbody tr');
  const currentRow = () => find('#live tbody tr.on');
  function move(by) {
    const list = rows();
    if (list.length === 0) return;
    const at = list.indexOf(currentRow());
    const next =
      list[Math.min(list.length - 1, Math.max(0, at < 0 ? (by > 0 ? 0 : list.length - 1) : at + by))];
    currentRow()?.classList.remove('on');
    next.classList.add('on');
    next.scrollIntoView({ block: 'nearest' });
  }

  /** Opens the form of an act; it never sends it. */
  function openAct(key) {
    const act =
      (currentRow() ?? document).querySelector(
        `#live details[data-key="${key}"], details[data-key="${key}"]`,
      ) ?? null;
    if (!act) return;
    act.open = true;
    act.querySelector('input:not([type=hidden]), button')?.focus();
  }

  /** On a list of messages, r and c lead to the preview for the selected rows, or for the current one. */
  function preview(act) {
    const button = find(`#live button[name="act"][value="${act}"]`);
    if (!button) return openAct(act[0]);
    const box = currentRow()?.querySelector('input[type=checkbox]');
    if (!find('#live tbody input:checked') && box) box.checked = true;
    if (find('#live tbody input:checked')) button.click();
  }

  const places = Object.fromEntries(
    all('#keys dt').flatMap((term) => {
      const [first, second] = [...term.querySelectorAll('kbd')].map((one) => one.textContent);
      const link = all('.places > a').find((one) => one.textContent === term.nextElementSibling.textContent);
      return first === 'g' && link ? [[second, link.href]] : [];
    }),
  );

  let prefix = '';
  function press(key) {
    if (prefix === 'g') {
      prefix = '';
      if (places[key]) location.href = places[key];
      return places[key] !== undefined;
    }
    if (prefix === '*') {
      prefix = '';
      if (key !== 'a') return false;
      for (const box of all('#live tbody input[type=checkbox]')) box.checked = true;
      return true;
    }
    const acts = {
      '/': () => find('.top input')?.focus(),
      g: () => void (prefix = 'g'),
      '*': () => void (prefix = '*'),
      j: () => move(1),
      k: () => move(-1),
      x: () => currentRow()?.querySelector('input[type=checkbox]')?.click(),
      Enter: () => currentRow()?.dataset.href && (location.href = currentRow().dataset.href),
      r: () => preview('retry'),
      c: () => preview('cancel'),
      e: () => openAct('e'),
      p: () => openAct('p'),
      u: () => {
        isLocal = !isLocal;
        localStorage.setItem('waybill-zone', isLocal ? 'local' : 'utc');
        writeTimes();
        writeAge();
      },
      '.': () => {
        isLive = every > 0 && !isLive;
        writeAge();
      },
      '?': () => find('#keys')?.showModal(),
    };
    if (!acts[key]) return false;
    acts[key]();
    return true;
  }

  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (event.key === 'Escape') {
      prefix = '';
      document.activeElement?.blur();
      for (const act of all('#live details.act[open]')) act.open = false;
      return;
    }
    const from = event.target.closest?.('input:not([type=checkbox]), textarea, select, dialog');
    if (from) return;
    if (event.key === 'Enter' && event.target.closest?.('a, button, summary')) return;
    if (press(event.key)) event.preventDefault();
  });

  writeTimes();
  writeAge();
})();
