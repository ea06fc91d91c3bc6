// Renews the live part of a page, and ends the session in all tabs. Pages work without it.

const again = 15_000; // ms until a refused stream is asked for again

const tabs = new BroadcastChannel('moim-console');
tabs.addEventListener('message', () => location.reload());
document.querySelector('.who')?.addEventListener('submit', () => {
  stop(); // or its end reloads this page, and so cancels the form
  // The others reload once the cookie is gone.
  addEventListener('pagehide', () => tabs.postMessage('signed out'));
});

// A notice is for once: reloading must not repeat it.
const here = new URL(location.href);
if (here.searchParams.has('done')) {
  here.searchParams.delete('done');
  history.replaceState(null, '', here);
}

const live = document.getElementById('live');
let stream;

function renew() {
  if (!live || stream || document.hidden) return;
  stream = new EventSource(location.href);
  stream.addEventListener('fragment', ({ data }) => {
    // Who reads with a keyboard or has selected text is not interrupted.
    if (live.contains(document.activeElement) || !getSelection().isCollapsed) return;
    live.innerHTML = data;
  });
  stream.addEventListener('end', () => {
    stop();
    location.reload();
  });
  stream.addEventListener('error', () => {
    if (stream?.readyState !== EventSource.CLOSED) return; // the browser connects again by itself
    stop();
    setTimeout(renew, again);
  });
}

function stop() {
  stream?.close();
  stream = undefined;
}

// A tab that nobody sees costs the node nothing.
document.addEventListener('visibilitychange', () => (document.hidden ? stop() : renew()));
addEventListener('pagehide', stop);
renew();
