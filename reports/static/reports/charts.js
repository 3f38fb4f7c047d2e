// Draws the page's figures, which stand in it as JSON, and says that a report is being made while the form is under way.
"use strict";

(() => {
    const PAPER_PX = 680;
    const NARROW_PX = 640;
    const CONFIG = { responsive: true, displayModeBar: false };
    const places = [...document.querySelectorAll("[data-figure]")];

    // Figures bring data and shapes; letters and lines are those of the page, light, dark or on paper.
    function dressed(layout, paper, narrow) {
        const dark = !paper && document.documentElement.classList.contains("dark");
        const grid = dark ? "rgba(255, 255, 255, 0.12)" : "rgba(0, 0, 0, 0.1)";
        const dressed = { ...layout };
        dressed.font = {
            family: getComputedStyle(document.body).fontFamily,
            size: 12,
            color: paper ? "#000000" : dark ? "#d1d5db" : "#374151",
        };
        for (const name of ["xaxis", "yaxis"]) {
            if (layout[name]) dressed[name] = { ...layout[name], gridcolor: grid, zerolinecolor: grid };
        }
        if (narrow && dressed.xaxis) dressed.xaxis.nticks = 3;
        if (paper) dressed.width = PAPER_PX;
        return dressed;
    }

    function draw(paper) {
        for (const place of places) {
            const { data, layout } = JSON.parse(document.getElementById(place.dataset.figure).textContent);
            Plotly.react(place, data, dressed(layout, paper, !paper && place.clientWidth < NARROW_PX), CONFIG);
        }
    }

    draw(false);
    addEventListener("beforeprint", () => draw(true));
    addEventListener("afterprint", () => draw(false));
    new MutationObserver(() => draw(false)).observe(document.documentElement, { attributeFilter: ["class"] });

    const form = document.getElementById("report-form");
    const working = document.getElementById("working");
    form.addEventListener("submit", () => {
        working.textContent = form.dataset.working;
        form.setAttribute("aria-busy", "true");
    });
    addEventListener("pageshow", () => {
        working.textContent = "";
        form.removeAttribute("aria-busy");
    });
})();
