"""The report in headless Chromium: no error on the console, figures drawn, sorting, filtering and the keyboard work.

A script of the test stands in a copy of the page, does what a reader does, and leaves what it saw in the page's title.
"""

import html
import json
import re
import shutil
import subprocess

import pytest

plotly = pytest.importorskip("plotly.offline")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed (apt-get install chromium)")


def browse(path, script):
    """Open the page, run the script, an async function body that returns what it saw; fail on any error of the console."""
    text = path.read_text()
    watch = "<script>window.errors = []; addEventListener('error', e => errors.push(String(e.message)));"
    watch += "addEventListener('unhandledrejection', e => errors.push(String(e.reason)));"
    watch += "addEventListener('securitypolicyviolation', e => errors.push(e.violatedDirective + ' ' + e.blockedURI));"
    watch += "console.error = console.warn = (...words) => errors.push(words.join(' '));</script>"
    act = f"""<script>(async () => {{
      const wait = async test => {{
        for (let i = 0; i < 200 && !test(); i++) await new Promise(done => setTimeout(done, 50)); }};
      await wait(() => document.documentElement.dataset.ready);
      let seen;
      try {{ seen = await (async () => {{ {script} }})(); }} catch (error) {{ errors.push(String(error)); }}
      document.documentElement.innerHTML = "";
      document.title = JSON.stringify({{seen, errors}});
    }})();</script>"""
    copy = path.with_name("browsed.html")
    copy.write_text(text.replace("<title>", watch + "<title>", 1).replace("</body>", act + "</body>"))
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=60000", "--dump-dom"]
    folder = f"--user-data-dir={path.with_name('profile')}"
    done = subprocess.run([*command, folder, copy.as_uri()], capture_output=True, text=True, timeout=120)
    title = re.search(r"<title>(.*?)</title>", done.stdout, re.S)
    assert title, done.stdout[-500:] + done.stderr[-500:]
    found = json.loads(html.unescape(title[1]))
    assert found["errors"] == []
    return found["seen"]


ROWS = "[...document.querySelector('table.sortable').tBodies[0].rows].filter(row => !row.hidden)"
ROWS += ".map(row => row.cells[0].textContent)"


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A report of three experiments, one with a flag, with the real plotly.js."""
    import test_report

    folder = tmp_path_factory.mktemp("page")
    results = folder / "results"
    rows = test_report.put_experiment(results, "a", "MAX", smds={"gc": 0.5})
    rows += test_report.put_experiment(results, "b", "CTCF", seed=2, reads=[test_report.READS])
    rows += test_report.put_experiment(results, "b", "GATA1", seed=3, n_pos=20)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(test_report, "LIBRARY", plotly.get_plotlyjs())
        test_report.render(folder, rows)
    return folder / "report.html"


def test_table_is_sorted_by_its_buttons(path):
    script = f"""
      const seen = [{ROWS}], [tf, , , test] = document.querySelectorAll("table.sortable thead button");
      tf.focus(); tf.click(); seen.push({ROWS}); tf.click(); seen.push({ROWS});
      test.click(); seen.push({ROWS});
      return [seen, document.activeElement === tf, test.closest("th").ariaSort, tf.closest("th").ariaSort];"""
    (given, up, down, peaks), focused, now, before = browse(path, script)
    assert given == ["MAX", "CTCF", "GATA1"]
    assert (up, down) == (["CTCF", "GATA1", "MAX"], ["MAX", "GATA1", "CTCF"])
    assert peaks[0] == "GATA1" and focused and (now, before) == ("ascending", None)


def test_table_is_filtered_by_name_and_by_flag(path):
    script = f"""
      const field = document.getElementById("filter-name"), flag = document.getElementById("filter-flag"), seen = [];
      const set = (element, value) => {{
        element.value = value; element.dispatchEvent(new Event("input", {{bubbles: true}})); }};
      set(field, "ctc"); seen.push({ROWS}); set(field, "B"); seen.push({ROWS});
      set(flag, "few peaks"); seen.push({ROWS}); set(field, ""); set(flag, "none"); seen.push({ROWS});
      return [seen, document.getElementById("filter-count").textContent, [...flag.options].map(option => option.value)];"""
    seen, count, options = browse(path, script)
    assert seen == [["CTCF"], ["CTCF", "GATA1"], ["GATA1"], ["CTCF"]]
    assert count == "1 of 3 shown"
    assert options == ["", "none", "few peaks", "unbalanced"]


def test_a_link_opens_its_model_and_figures_are_drawn(path):
    """Closed pages are not drawn; in print all are open and drawn."""
    script = """
      const drawn = () => document.querySelectorAll(".plot .main-svg:first-child").length;
      const open = () => document.querySelectorAll("details.experiment[open]").length;
      const seen = [[open(), drawn()]];
      document.querySelector("table.sortable a[href='#b.CTCF']").click();
      await wait(drawn); seen.push([open(), drawn()]);
      window.dispatchEvent(new Event("beforeprint")); seen.push([open(), drawn()]);
      window.dispatchEvent(new Event("afterprint")); seen.push([open(), drawn()]);
      return seen;"""
    assert browse(path, script) == [[0, 0], [1, 7], [3, 19], [1, 19]]


def test_every_image_is_shown(path):
    script = """
      document.querySelectorAll("details").forEach(page => { page.open = true; });
      const images = [...document.images];
      await Promise.all(images.map(image => image.decode().catch(() => 0)));
      return [images.length, images.filter(image => !image.naturalWidth).map(image => image.alt)];"""
    n, broken = browse(path, script)
    assert n > 3 and broken == []


def test_text_stands_out_from_its_ground(path):
    """Contrast of at least 4.5 to 1 (WCAG 2.2, AA) of all words but those in figures."""
    script = """
      document.querySelectorAll("details").forEach(page => { page.open = true; });
      const light = ([r, g, b]) => [r, g, b].map(v => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
      const numbers = color => color.match(/[\\d.]+/g).map(Number);
      const ground = node => { for (; node; node = node.parentElement) {
        const color = numbers(getComputedStyle(node).backgroundColor); if (color.length < 4 || color[3] > 0) return color; }
        return [255, 255, 255]; };
      const poor = [];
      for (const node of document.querySelectorAll("main *, nav *")) {
        const own = [...node.childNodes].filter(child => child.nodeType === 3 && child.textContent.trim());
        if (node.closest("svg, .plot") || !own.length) continue;
        const [a, b] = [light(numbers(getComputedStyle(node).color)), light(ground(node))].sort((x, y) => y - x);
        if ((a + 0.05) / (b + 0.05) < 4.5) poor.push(node.outerHTML.slice(0, 80));
      }
      return poor;"""
    assert browse(path, script) == []
