// A run in progress: figures are put in place, pictures get new data; when it has ended its report is shown.
(() => {
  const figures = document.getElementById("figures");
  if (!figures) return;
  const pictures = document.getElementById("pictures"), connection = document.getElementById("connection");
  const page = window.inferometerPage;
  let drawn = "", source = null;

  function picture(look) {
    const keys = Object.keys(look.plots);
    if (keys.join() !== drawn) {  // other pictures than before: the first ones, or those of another load point
      page.forget(pictures);
      pictures.innerHTML = keys.length ? look.pictures : "";
      page.adopt(pictures);
      drawn = keys.join();
      return;
    }
    const fresh = document.createElement("template");
    fresh.innerHTML = look.pictures;
    for (const key of keys) {
      const figure = document.getElementById(key), now = fresh.content.getElementById(key);
      figure.querySelector("figcaption").innerHTML = now.querySelector("figcaption").innerHTML;
      figure.querySelector("details table").innerHTML = now.querySelector("details table").innerHTML;
      page.renew(figure, look.plots[key]);
    }
  }

  function show(event) {
    const look = JSON.parse(event.data), left = (figures.querySelector(".scroll") || {}).scrollLeft;
    figures.innerHTML = look.figures;
    if (left) figures.querySelector(".scroll").scrollLeft = left;
    picture(look);
    connection.textContent = "";
  }

  function follow() {
    if (source) source.close();
    source = null;
    if (document.hidden) return;  // a browser has six connections to a server, and streams hold theirs
    source = new EventSource(figures.dataset.events);
    source.addEventListener("look", show);
    source.addEventListener("end", () => {
      source.close();
      location.replace(figures.dataset.report);
    });
    source.addEventListener("error", (event) => {
      // A browser tries again by itself, but not after an answer such as 503.
      if (event.target.readyState === EventSource.CLOSED) setTimeout(follow, 5000);
      connection.textContent = connection.dataset[document.documentElement.lang === "zh" ? "lostZh" : "lostEn"];
    });
  }

  document.addEventListener("visibilitychange", follow);
  follow();
})();
