"use strict";

// Data of the server is put into the page as text, never as markup.

const at = (id) => document.getElementById(id);
const csrf = document.querySelector('meta[name="csrf"]')?.content;

function showAlert(text) {
    at("said").textContent = text;
}

/** Sends a request to the server. Returns the JSON of the answer, or throws an error with a readable message. */
async function ask(method, path, body) {
    const headers = {};
    if (csrf) headers["X-CSRF-Token"] = csrf;
    if (body !== undefined) headers["Content-Type"] = "application/json";
    const request = { method, headers, body: body === undefined ? undefined : JSON.stringify(body) };
    let response;
    try {
        response = await fetch(path, request);
    } catch {
        throw new Error("the server does not answer");
    }
    const answer = response.status === 204 ? {} : await response.json().catch(() => ({}));
    if (!response.ok) {
        const error = new Error(answer.error ?? `the server answers ${response.status}`);
        error.status = response.status;
        throw error;
    }
    return answer;
}

// Sign in

function signIn(form) {
    form.addEventListener("submit", async (event) => {
        event.preventDefault();
        const button = form.querySelector("button");
        button.disabled = true;
        showAlert("");
        try {
            await ask("POST", "/api/v1/session", { user: form.user.value, password: form.password.value });
            location.reload();
        } catch (error) {
            showAlert(error.message);
            button.disabled = false;
            form.password.select();
        }
    });
}

// Figures as text

function bytes(count) {
    const units = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
    let unit = 0;
    let value = count;
    while (value >= 999.5 && unit < units.length - 1) {
        value /= 1000;
        unit += 1;
    }
    const digits = unit > 0 && value < 9.95 ? 1 : 0;
    return `${value.toFixed(digits)} ${units[unit]}`;
}

const rate = (count) => `${bytes(count)}/s`;

function span(seconds) {
    const steps = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
    const left = Math.max(0, Math.round(seconds));
    const first = steps.findIndex(([length]) => left >= length);
    if (first < 0) return "0 s";
    const [length, name] = steps[first];
    const whole = `${Math.floor(left / length)} ${name}`;
    const next = steps[first + 1];
    if (!next || next[1] === "s") return whole;
    return `${whole} ${Math.floor((left % length) / next[0])} ${next[1]}`;
}

const clock = (millis) => new Date(millis).toLocaleTimeString();

// Tables

function put(node, text) {
    const wanted = String(text);
    if (node.textContent !== wanted) node.textContent = wanted;
}

/** Updates the rows of a table. Rows that stay are changed in place, so that an element in them keeps the focus. */
function table(id, columns) {
    const section = at(id);
    if (!section) return () => {};
    const body = section.querySelector("tbody");
    const heads = [...section.querySelectorAll("th")];
    heads.forEach((head, i) => head.classList.toggle("number", columns[i].number === true));
    const rows = new Map();
    return (items, keyOf) => {
        const seen = new Set(items.map(keyOf));
        // Rows are removed before others are inserted, because a row that is moved loses the focus.
        for (const [key, row] of rows) {
            if (!seen.has(key)) {
                // Otherwise the focus would move to the top of the page.
                if (row.contains(document.activeElement)) section.focus();
                row.remove();
                rows.delete(key);
            }
        }
        items.forEach((item, place) => {
            const key = keyOf(item);
            let row = rows.get(key);
            if (!row) {
                row = document.createElement("tr");
                columns.forEach((column, i) => {
                    const cell = document.createElement("td");
                    cell.dataset.label = column.label ?? heads[i].textContent;
                    if (column.number) cell.classList.add("number");
                    if (column.nowrap) cell.classList.add("nowrap");
                    if (column.make) cell.append(column.make(item));
                    row.append(cell);
                });
                rows.set(key, row);
            }
            columns.forEach((column, i) => {
                if (column.change) column.change(row.cells[i].firstChild, item);
                else put(row.cells[i], column.text(item));
            });
            if (body.rows[place] !== row) body.insertBefore(row, body.rows[place] ?? null);
        });
    };
}

function more(id, shown, all) {
    put(at(`${id}-more`), shown < all ? `(${shown} of ${all})` : all > 0 ? `(${all})` : "");
}

// A mapping's switch

function makeSwitch(mapping) {
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("role", "switch");
    button.setAttribute("aria-label", `New users of port ${mapping.port}`);
    button.addEventListener("click", async () => {
        // The button is not disabled, because it would lose the focus.
        if (button.dataset.busy) return;
        button.dataset.busy = "yes";
        const on = button.getAttribute("aria-checked") !== "true";
        showAlert("");
        try {
            await ask("POST", `/api/v1/mappings/${mapping.port}`, { on });
            setSwitch(button, on);
        } catch (error) {
            if (error.status === 401) location.reload();
            showAlert(`port ${mapping.port} was not switched: ${error.message}`);
        } finally {
            delete button.dataset.busy;
        }
    });
    return button;
}

function showSwitch(button, { on }) {
    // While a change is under way, an event may show the state before it.
    if (!button.dataset.busy) setSwitch(button, on);
}

function setSwitch(button, on) {
    button.setAttribute("aria-checked", String(on));
    put(button, on ? "on" : "off");
}

// Requests for mappings

/** Sends the form, and lists the clients in it. */
function asking() {
    const form = at("ask");
    // Fields are read from this list, because a form has a member `target` of its own.
    const fields = form.elements;
    const said = at("ask-said");
    const options = new Map();
    const report = (text, isBad) => {
        said.classList.toggle("bad", isBad);
        put(said, text);
    };
    form.addEventListener("submit", async (event) => {
        event.preventDefault();
        // The button is not disabled, because it would lose the focus.
        if (form.dataset.busy) return;
        form.dataset.busy = "yes";
        const { name, user } = fields.client.selectedOptions[0].dataset;
        const target = fields.target.value.trim();
        const port = Number(fields.port.value);
        report("", false);
        try {
            await ask("POST", "/api/v1/requests", { client: name, user, target, port });
            report(`client ${name} is asked for port ${port} → ${target}`, false);
            fields.target.value = "";
            fields.port.value = "";
        } catch (error) {
            if (error.status === 401) location.reload();
            report(`not asked: ${error.message}`, true);
        } finally {
            delete form.dataset.busy;
        }
    });
    return (clients, twins) => {
        const seen = new Set();
        for (const client of clients) {
            // A name of more than one account is shown with its account.
            const key = `${client.user}\n${client.name}`;
            if (client.name === "" || seen.has(key)) continue;
            seen.add(key);
            let option = options.get(key);
            if (!option) {
                option = document.createElement("option");
                option.value = key;
                option.dataset.name = client.name;
                option.dataset.user = client.user;
                options.set(key, option);
                fields.client.append(option);
            }
            const name = twins.has(client.name) ? `${client.name} of ${client.user}` : client.name;
            put(option, client.takes_requests ? name : `${name} (takes no requests)`);
            // The chosen client stays enabled: the server's answer gives the reason of a refusal.
            option.disabled = !client.takes_requests && !option.selected;
        }
        for (const [key, option] of options) {
            if (!seen.has(key) && !option.selected) {
                option.remove();
                options.delete(key);
            }
        }
    };
}

/** The names that clients of several accounts have. */
function twinsOf(clients) {
    const users = new Map();
    const twins = new Set();
    for (const { name, user } of clients) {
        if ((users.get(name) ?? user) !== user) twins.add(name);
        users.set(name, user);
    }
    return twins;
}

/** A button for the account that has asked, and for administrators. */
function makeWithdrawal(request) {
    const { user, administrator } = document.querySelector("main").dataset;
    if (request.by !== user && administrator !== "yes") return document.createDocumentFragment();
    const button = document.createElement("button");
    button.type = "button";
    button.addEventListener("click", async () => {
        if (button.dataset.busy) return;
        button.dataset.busy = "yes";
        showAlert("");
        try {
            // The next event of the stream removes the row.
            await ask("DELETE", `/api/v1/requests/${request.id}`);
        } catch (error) {
            if (error.status === 401) location.reload();
            showAlert(`the request for port ${request.port} was not withdrawn: ${error.message}`);
        } finally {
            delete button.dataset.busy;
        }
    });
    return button;
}

function showWithdrawal(button, request) {
    if (!button) return;
    const verb = request.state === "refused" ? "Remove" : "Withdraw";
    put(button, verb);
    button.setAttribute("aria-label", `${verb} the request for port ${request.port} of ${request.client}`);
}

function makeState() {
    return document.createElement("strong");
}

function showState(strong, { state }) {
    put(strong, state);
    strong.dataset.state = state;
}

// The chart of the traffic

function picture(history) {
    const series = { to: [...history.to_users], from: [...history.from_users] };
    const path = (values, most) => {
        const width = 300 / (values.length - 1);
        return values
            .map((value, i) => `${i ? "L" : "M"}${(i * width).toFixed(1)} ${(79 - (78 * value) / most).toFixed(1)}`)
            .join("");
    };
    return (to, from) => {
        if (to !== undefined) {
            series.to.push(to);
            series.to.shift();
            series.from.push(from);
            series.from.shift();
        }
        const top = Math.max(...series.to, ...series.from);
        const most = Math.max(top, 1);
        at("path-to-users").setAttribute("d", path(series.to, most));
        at("path-from-users").setAttribute("d", path(series.from, most));
        put(at("most"), rate(top));
        const last = series.to.length - 1;
        at("traffic").setAttribute(
            "aria-label",
            `Traffic of the last five minutes: now ${rate(series.to[last])} to users and ` +
                `${rate(series.from[last])} from users, at most ${rate(top)}`,
        );
    };
}

// The board

function board() {
    let now = 0;
    const since = (item) => span(now - item.since);
    const tables = {
        mappings: table("mappings", [
            { text: (m) => m.port },
            { text: (m) => m.target },
            { text: (m) => m.client },
            { text: (m) => m.user },
            { text: (m) => `${m.tunnels} now, ${m.tunnels_total} in all`, number: true },
            { text: (m) => bytes(m.bytes_to_users), number: true },
            { text: (m) => bytes(m.bytes_from_users), number: true },
            { make: makeSwitch, change: showSwitch },
        ]),
        requests: table("requests", [
            { text: (r) => r.port },
            { text: (r) => r.target },
            { text: (r) => r.client },
            { text: (r) => r.user },
            { text: (r) => r.by },
            { text: (r) => `${span(now - r.changed)} ago`, number: true },
            { make: makeState, change: showState },
            { text: (r) => r.reason ?? "" },
            { make: makeWithdrawal, change: showWithdrawal },
        ]),
        tunnels: table("tunnels", [
            { text: (t) => t.address },
            { text: (t) => t.port },
            { text: (t) => t.client },
            { text: since, number: true },
            { text: (t) => bytes(t.bytes_to_users), number: true },
            { text: (t) => rate(t.rate_to_users), number: true, label: "Rate to users" },
            { text: (t) => bytes(t.bytes_from_users), number: true },
            { text: (t) => rate(t.rate_from_users), number: true, label: "Rate from users" },
        ]),
        clients: table("clients", [
            { text: (c) => c.name },
            { text: (c) => c.user },
            { text: (c) => c.address },
            { text: (c) => (c.tls ? "yes" : "no") },
            { text: since, number: true },
            { text: (c) => c.mappings, number: true },
            { text: (c) => c.users, number: true },
        ]),
        listeners: table("listeners", [
            { text: (l) => l.address },
            { text: (l) => (l.tls ? "yes" : "no") },
        ]),
        refusals: table("refusals", [
            { text: ([reason]) => reason },
            { text: ([, count]) => count, number: true },
        ]),
        events: table("events", [
            { text: (e) => clock(e.time), nowrap: true },
            { text: (e) => e.text },
            { text: (e) => (e.count > 1 ? `${e.count} times` : ""), number: true },
        ]),
    };

    const offer = asking();

    const show = ({ status, clients, mappings, tunnels, requests, events }) => {
        now = status.now;
        put(at("figure-clients"), status.clients);
        put(at("figure-mappings"), status.mappings);
        put(at("figure-tunnels"), status.tunnels);
        put(at("figure-to-users"), rate(status.rate_to_users));
        put(at("figure-from-users"), rate(status.rate_from_users));
        put(at("figure-in-all"), bytes(status.bytes_to_users + status.bytes_from_users));
        tables.mappings(mappings, (m) => `${m.client_id} ${m.port}`);
        tables.requests(requests, (r) => r.id);
        offer(clients, twinsOf(clients));
        tables.tunnels(tunnels, (t) => t.id);
        tables.clients(clients, (c) => c.id);
        tables.listeners(status.listeners, (l) => `${l.address} ${l.tls}`);
        tables.events(events, (e) => e.id);
        more("mappings", mappings.length, status.mappings);
        more("requests", requests.length, status.requests);
        more("tunnels", tunnels.length, status.tunnels);
        more("clients", clients.length, status.clients);
        if (status.census) tables.refusals(Object.entries(status.census.refused), ([reason]) => reason);
        put(at("state"), `version ${status.version}, runs for ${span(now - status.started)}`);
        at("state").classList.remove("lost");
    };

    let draw;
    let last = 0;
    const connect = () => {
        const stream = new EventSource("/api/v1/stream");
        stream.addEventListener("open", async () => {
            try {
                draw = picture(await ask("GET", "/api/v1/history"));
                draw();
            } catch (error) {
                if (error.status === 401) location.reload();
            }
        });
        stream.addEventListener("state", (event) => {
            const state = JSON.parse(event.data);
            show(state);
            // One point for each second: a switch or a request may cause further events.
            if (draw && state.status.now > last) draw(state.status.rate_to_users, state.status.rate_from_users);
            last = state.status.now;
        });
        stream.addEventListener("error", async () => {
            put(at("state"), "connection lost; connecting again …");
            at("state").classList.add("lost");
            // The browser connects again after a broken connection, but not after a refusal.
            if (stream.readyState !== EventSource.CLOSED) return;
            stream.close();
            try {
                await ask("GET", "/api/v1/session");
            } catch (error) {
                if (error.status === 401) {
                    location.reload();
                    return;
                }
            }
            setTimeout(connect, 3000);
        });
    };
    connect();

    at("sign-out").addEventListener("click", async () => {
        try {
            await ask("DELETE", "/api/v1/session");
            location.reload();
        } catch (error) {
            if (error.status === 401) location.reload();
            showAlert(`not signed out: ${error.message}`);
        }
    });
}

const form = at("sign-in");
if (form) signIn(form);
else board();
