// Keys, rows and times of the console. Every page can be read and every act can be done without it.
'use strict';

(() => {
  const find = (selector) => document.querySelector(selector);
  const all = (selector) => [...document.querySelectorAll(selector)];
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
        `#live details[data-key="${key}"], details[data-key="${key}"], a[data-key="${key}"]`,
      ) ?? null;
    if (!act) return;
    if (act.href) return void (location.href = act.href); // a page that shows what the act would do
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
      const bulk = find('#live a[data-all]'); // the form of a bulk act, with the page's filter
      if (bulk) {
        location.href = bulk.href;
        return true;
      }
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
        document.dispatchEvent(new Event('waybill-zone'));
      },
      '.': () => document.dispatchEvent(new Event('waybill-live')),
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

  document.addEventListener('waybill-read', writeTimes);
  writeTimes();
})();
