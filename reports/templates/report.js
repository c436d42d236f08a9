// Sorts and filters the tables of the report. Without it every row is shown, in the order of the answer.
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
  document.querySelectorAll("table.sortable").forEach(function (table) {
    var heads = Array.prototype.slice.call(table.tHead.rows[0].cells);
    var original = Array.prototype.map.call(table.tBodies, function (body) { return [body, entriesOf(body)]; });
    heads.forEach(function (head, column) {
      var button = document.createElement("button");
      button.type = "button";
      button.className = "sort";
      while (head.firstChild) { button.appendChild(head.firstChild); }
      head.appendChild(button);
      button.addEventListener("click", function () {
        var numeric = head.classList.contains("n");
        var cycle = numeric ? ["descending", "ascending"] : ["ascending", "descending"];
        var next = cycle[cycle.indexOf(head.getAttribute("aria-sort")) + 1] || null;
        heads.forEach(function (other) { other.removeAttribute("aria-sort"); });
        if (next) { head.setAttribute("aria-sort", next); }
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
      });
    });
  });

  var place = document.getElementById("filters");
  var rows = Array.prototype.slice.call(document.querySelectorAll("#cells tr[data-protocol]"));
  if (!place || rows.length < 2) { return; }
  var filters = [["protocol", "Protocol"], ["runtime", "Runtime"], ["set", "Set"], ["verdict", "Verdict"]];
  var valuesOf = function (row, key) { return JSON.parse(row.getAttribute("data-" + key) || "[]"); };
  var selects = [];
  filters.forEach(function (filter) {
    var known = [];
    rows.forEach(function (row) {
      valuesOf(row, filter[0]).forEach(function (value) { if (known.indexOf(value) < 0) { known.push(value); } });
    });
    if (known.length < 2) { return; }
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
  if (!selects.length) { return; }
  var clear = document.createElement("button"), told = document.createElement("output");
  clear.type = "button";
  clear.textContent = "Show all";
  told.setAttribute("aria-live", "polite");
  place.appendChild(clear);
  place.appendChild(told);
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
  };
  selects.forEach(function (pair) { pair[1].addEventListener("change", apply); });
  clear.addEventListener("click", function () {
    selects.forEach(function (pair) { pair[1].value = ""; });
    apply();
    selects[0][1].focus();
  });
  place.hidden = false;
  apply();
})();
