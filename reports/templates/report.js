// Sorts and filters the tables of the report, opens what a link names, and keeps in the address what is open, filtered, sorted.
// Without it every row is shown, in the order of the answer, and a click opens a section all the same.
(function () {
  "use strict";
  var missing = function (value) { return value === null || value === ""; };
  var valueOf = function (cell, numeric) {
    if (!cell) { return null; }
    var own = cell.cloneNode(true);
    own.querySelectorAll(".why").forEach(function (extra) { extra.remove(); });
    var text = own.textContent.trim();
    if (!numeric) { return text.toLowerCase(); }
    var found = text.replace(/,/g, "").match(/[+-]?\d+(\.\d+)?(e[+-]?\d+)?/i);
    return found ? parseFloat(found[0]) : null;
  };
  var entriesOf = function (body) {
    // A row and the rows that explain it move together.
    var entries = [];
    Array.prototype.forEach.call(body.rows, function (row) {
      if (row.classList.contains("divider")) { return; }
      if (row.classList.contains("because") && entries.length) { entries[entries.length - 1].push(row); } else { entries.push([row]); }
    });
    return entries;
  };
  var restoring = true, printing = [], selects = [], sorters = [], sorted = {};
  var folds = Array.prototype.slice.call(document.querySelectorAll("details"));
  var nameOf = function (fold) {
    var heading = fold.querySelector(":scope > summary > h2[id]");
    return heading ? heading.id : "d" + folds.indexOf(fold);
  };
  var keep = function () {
    if (restoring || printing.length) { return; }
    var state = new URLSearchParams();
    var open = folds.filter(function (fold) { return fold.open; }).map(nameOf);
    if (open.length) { state.set("open", open.join(" ")); }
    selects.forEach(function (pair) { if (pair[1].value) { state.set(pair[0], pair[1].value); } });
    Object.keys(sorted).forEach(function (table) { state.append("sort", table + " " + sorted[table]); });
    history.replaceState(null, "", "#" + state);
  };
  var reveal = function (element) {
    for (var each = element; each; each = each.parentElement) { if (each.tagName === "DETAILS") { each.open = true; } }
  };
  document.querySelectorAll("table.sortable").forEach(function (table, number) {
    var heads = Array.prototype.slice.call(table.tHead.rows[0].cells);
    var original = Array.prototype.map.call(table.tBodies, function (body) { return [body, entriesOf(body)]; });
    var sort = function (column, next) {
      var numeric = heads[column].classList.contains("n");
      heads.forEach(function (other) { other.removeAttribute("aria-sort"); });
      delete sorted[number];
      if (next) {
        heads[column].setAttribute("aria-sort", next);
        sorted[number] = column + " " + next;
      }
      var sign = next === "descending" ? -1 : 1;
      original.forEach(function (pair) {
        var entries = pair[1].slice();
        if (next) {
          entries.sort(function (one, other) {
            var a = valueOf(one[0].cells[column], numeric), b = valueOf(other[0].cells[column], numeric);
            if (missing(a) || missing(b)) { return missing(a) - missing(b); }
            return sign * (numeric ? a - b : a.localeCompare(b));
          });
        }
        entries.forEach(function (rows) { rows.forEach(function (row) { pair[0].appendChild(row); }); });
      });
      keep();
    };
    sorters.push(function (column, next) { if (heads[column]) { sort(column, next); } });
    heads.forEach(function (head, column) {
      var button = document.createElement("button");
      button.type = "button";
      button.className = "sort";
      while (head.firstChild) { button.appendChild(head.firstChild); }
      head.appendChild(button);
      button.addEventListener("click", function () {
        var cycle = head.classList.contains("n") ? ["descending", "ascending"] : ["ascending", "descending"];
        sort(column, cycle[cycle.indexOf(head.getAttribute("aria-sort")) + 1] || null);
      });
    });
  });

  var place = document.getElementById("filters");
  var rows = Array.prototype.slice.call(document.querySelectorAll("#cells tr[data-protocol]"));
  var filters = [["protocol", "Protocol"], ["runtime", "Runtime"], ["set", "Set"], ["verdict", "Verdict"]];
  var valuesOf = function (row, key) { return JSON.parse(row.getAttribute("data-" + key) || "[]"); };
  filters.forEach(function (filter) {
    var known = [];
    rows.forEach(function (row) {
      valuesOf(row, filter[0]).forEach(function (value) { if (known.indexOf(value) < 0) { known.push(value); } });
    });
    if (!place || rows.length < 2 || known.length < 2) { return; }
    var label = document.createElement("label"), select = document.createElement("select");
    label.textContent = filter[1] + " ";
    select.setAttribute("data-filter", filter[0]);
    [""].concat(known.sort()).forEach(function (value) {
      var option = document.createElement("option");
      option.value = value;
      option.textContent = value || "all";
      select.appendChild(option);
    });
    label.appendChild(select);
    place.appendChild(label);
    selects.push([filter[0], select]);
  });
  var clear = document.createElement("button"), told = document.createElement("output");
  var apply = function () {
    var shown = 0;
    rows.forEach(function (row) {
      var fits = selects.every(function (pair) {
        return !pair[1].value || valuesOf(row, pair[0]).indexOf(pair[1].value) >= 0;
      });
      shown += fits ? 1 : 0;
      for (var each = row; each && (each === row || each.classList.contains("because")); each = each.nextElementSibling) {
        each.hidden = !fits;
      }
    });
    document.querySelectorAll("#cells tbody").forEach(function (body) {
      body.hidden = !Array.prototype.some.call(body.rows, function (row) { return row.hasAttribute("data-protocol") && !row.hidden; });
    });
    told.textContent = shown === rows.length ? "All " + rows.length + " rows are shown." : shown + " of " + rows.length + " rows are shown.";
    clear.disabled = shown === rows.length;
    keep();
  };
  if (selects.length) {
    clear.type = "button";
    clear.textContent = "Show all";
    told.setAttribute("aria-live", "polite");
    place.appendChild(clear);
    place.appendChild(told);
    selects.forEach(function (pair) { pair[1].addEventListener("change", apply); });
    clear.addEventListener("click", function () {
      selects.forEach(function (pair) { pair[1].value = ""; });
      apply();
      selects[0][1].focus();
    });
    place.hidden = false;
  }

  // An address ends in the name of a section, as a link within the page does, or in what was open, filtered and sorted.
  var restore = function () {
    restoring = true;
    var fragment = location.hash.slice(1), target = document.getElementById(fragment);
    if (target) {
      reveal(target);
      target.scrollIntoView();
    } else if (fragment.indexOf("=") > 0) {
      var state = new URLSearchParams(fragment), open = (state.get("open") || "").split(" ");
      folds.forEach(function (fold) { fold.open = open.indexOf(nameOf(fold)) >= 0; });
      selects.forEach(function (pair) { pair[1].value = state.get(pair[0]) || ""; });
      state.getAll("sort").forEach(function (text) {
        var parts = text.split(" "), sorter = sorters[parts[0]];
        if (sorter && (parts[2] === "ascending" || parts[2] === "descending")) { sorter(Number(parts[1]), parts[2]); }
      });
    }
    if (selects.length) { apply(); }
    restoring = false;
  };
  folds.forEach(function (fold) { fold.addEventListener("toggle", keep); });
  window.addEventListener("hashchange", restore);
  window.addEventListener("beforeprint", function () {
    printing = folds.filter(function (fold) { return !fold.open; });
    printing.forEach(function (fold) { fold.open = true; });
  });
  window.addEventListener("afterprint", function () {
    printing.forEach(function (fold) { fold.open = false; });
    setTimeout(function () { printing = []; });
  });
  restore();
})();
