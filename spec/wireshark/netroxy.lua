-- Wireshark dissector for the Netroxy protocol v0.3, after sections 4 to 6 of spec/v0.3/netroxy.md. Names in backquotes
-- are rules of that document. README.md in this folder describes the use.

local netroxy = Proto("netroxy", "Netroxy")

-- The longest line in bytes, without LF (`frame.line-limit`).
local LINE_LIMIT = 4096

netroxy.prefs.port = Pref.uint("TCP port", 10000,
    "Port on which the server listens for clients without TLS; 0 for none. Use Decode As for more ports.")

-- --- the messages

local function text(name, title, info)
    return { kind = "text", info = info, proto = ProtoField.string("netroxy." .. name, title) }
end

local function integer(name, title, info)
    return { kind = "integer", info = info, proto = ProtoField.int64("netroxy." .. name, title) }
end

local function seconds(name, title, info)
    return { kind = "timeout", info = info, proto = ProtoField.int64("netroxy." .. name, title) }
end

local function boolean(name, title, info)
    return { kind = "boolean", info = info, proto = ProtoField.bool("netroxy." .. name, title) }
end

-- The fields of each word, by sender. The third argument is the field's format in the Info column; without it the field
-- is not shown there.
local MESSAGES = {
    client = {
        ATH = {
            text("ath.name", "Client name", "%s"),
            text("ath.username", "User name"),
            text("ath.password", "Password"),
        },
        MAP = {
            integer("map.port", "Remote port", "%s"),
            text("map.target", "Target", "%s"),
            boolean("map.open", "Open", "%s"),
        },
        SRQ = {},
        TRS = { text("trs.token", "Token"), integer("trs.port", "Remote port", "port %s") },
    },
    server = {
        ARS = {
            boolean("ars.ok", "Accepted", "%s"),
            seconds("ars.timeout", "Timeout in seconds", "%s"),
            text("ars.token", "Token"),
        },
        MRS = { integer("mrs.port", "Remote port", "%s"), boolean("mrs.ok", "Accepted", "%s") },
        TRQ = { integer("trq.port", "Remote port", "%s") },
        SRS = {},
    },
}

local WORD = { kind = "word", info = "%s", proto = ProtoField.string("netroxy.word", "Word") }
local MESSAGE = ProtoField.none("netroxy.message", "Message")
local TUNNEL = ProtoField.bytes("netroxy.tunnel", "Tunnel data")
local UNPARSED = ProtoField.bytes("netroxy.unparsed", "Not parsed")

local fields = { MESSAGE, WORD.proto, TUNNEL, UNPARSED }
for _, words in pairs(MESSAGES) do
    for _, of_word in pairs(words) do
        for _, field in ipairs(of_word) do fields[#fields + 1] = field.proto end
    end
end
netroxy.fields = fields

local function malformed(name, title)
    return ProtoExpert.new("netroxy." .. name, title, expert.group.MALFORMED, expert.severity.ERROR)
end

-- The faults that end the lines of a direction: the text in the Info column, and the expert information.
local FAULTS = {
    word = { "unknown word", malformed("unknown_word", "No word of this direction (frame.unknown-word)") },
    long = { "long line", malformed("long_line", "Line of more than 4096 bytes (frame.line-limit)") },
    integer = { "bad integer", malformed("bad_integer", "No decimal integer of 64 bits (frame.int)") },
    boolean = { "bad boolean", malformed("bad_boolean", "Neither true nor false (frame.bool)") },
    timeout = { "bad timeout", malformed("bad_timeout", "No integer from 1 to 9223372036 (auth.timeout-range)") },
}
local CUT_OFF = ProtoExpert.new("netroxy.cut_off",
    "The capture lacks the rest of this message, or TCP reassembly is off",
    expert.group.REASSEMBLE, expert.severity.WARN)
local LIBERAL = ProtoExpert.new("netroxy.liberal_integer",
    "Plus sign, leading zero or minus zero, which not every receiver takes (frame.int-canonical)",
    expert.group.PROTOCOL, expert.severity.WARN)

local experts = { CUT_OFF, LIBERAL }
for _, fault in pairs(FAULTS) do experts[#experts + 1] = fault[2] end
netroxy.experts = experts

-- --- from bytes to messages

-- The value of a line, or nil if the line is not valid.
local VALUES = {}

function VALUES.text(line) return line end

function VALUES.boolean(line)
    if line == "true" then return true end
    if line == "false" then return false end
end

-- The integer in canonical form, as a string: a Lua number cannot hold 64 bits exactly.
function VALUES.integer(line)
    local sign, digits = line:match("^([+-]?)0*(%d+)$")
    if not digits then return nil end
    local bound = sign == "-" and "9223372036854775808" or "9223372036854775807"
    if #digits > #bound or (#digits == #bound and digits > bound) then return nil end
    return (sign == "-" and digits ~= "0" and "-" or "") .. digits
end

function VALUES.timeout(line)
    local value = VALUES.integer(line)
    local number = value and tonumber(value)
    if number and number >= 1 and number <= 9223372036 then return value end
end

-- Reads the message of `sender` that begins at `start`. Returns its lines, each with `first`, `last` (without LF),
-- `field` and `value`, and
--   the start of the next message, if this one is complete,
--   or nil and the name of the fault, which is in the last line,
--   or only nil, if bytes are missing.
local function read_message(bytes, start, sender)
    local lines, awaited, at = {}, { WORD }, start
    while #lines < #awaited do
        local field = awaited[#lines + 1]
        local lf = bytes:find("\n", at, true)
        local line = { first = at, last = (lf or #bytes + 1) - 1, field = field }
        local length = line.last - line.first + 1
        if field == WORD then
            local word = bytes:sub(line.first, line.last)
            local of_word = MESSAGES[sender][word]
            -- Every word has three letters, so a fourth one is a fault before the LF has come.
            if lf and not of_word or length > 3 then return { line }, nil, "word" end
            for _, next_field in ipairs(of_word or {}) do awaited[#awaited + 1] = next_field end
            line.value = word
        elseif length > LINE_LIMIT then
            lines[#lines + 1] = line
            return lines, nil, "long"
        elseif lf then
            line.value = VALUES[field.kind](bytes:sub(line.first, line.last))
        end
        if not lf then return lines end
        lines[#lines + 1] = line
        if line.value == nil then return lines, nil, field.kind end
        if field.kind == "boolean" and lines[1].value == "ARS" and not line.value then
            awaited = { WORD, field } -- nothing follows `ARS false`
        end
        at = lf + 1
    end
    return lines, at
end

-- --- the state of each connection

-- A connection has `client`, which is the client's end, and in `sides` the place where the lines of each sender ended.
-- In the first pass it is found by its two ends, later by the number of the packet.
local latest, of_packet = {}, {}
local stream_number = Field.new("tcp.stream")

function netroxy.init() latest, of_packet = {}, {} end

local function ends_of(pinfo)
    return tostring(pinfo.src) .. " " .. pinfo.src_port, tostring(pinfo.dst) .. " " .. pinfo.dst_port
end

local function connection_of(pinfo)
    if pinfo.visited and of_packet[pinfo.number] then return of_packet[pinfo.number] end
    local here, there = ends_of(pinfo)
    local key = here < there and here .. " " .. there or there .. " " .. here
    -- Wireshark's stream number tells apart connections with the same ends. In the first pass it is missing if
    -- Wireshark builds no tree for the packet.
    local numbers = { stream_number() }
    local number = #numbers > 0 and numbers[#numbers].value or nil
    local known = latest[key]
    if not known or (number and known.number and number ~= known.number) then
        known = { number = number, sides = { client = {}, server = {} } }
        latest[key] = known
    end
    known.number = known.number or number
    of_packet[pinfo.number] = known
    return known
end

-- The sender of these bytes, "client" or "server". The port of the preference is the server's. Without it the first
-- word decides, and without a server's word the sender is the client, because a client sends first. Nil if the word is
-- incomplete and more bytes may follow.
local function sender_of(connection, pinfo, bytes, can_await)
    local here, there = ends_of(pinfo)
    if not connection.client then
        local port = netroxy.prefs.port
        if (pinfo.src_port == port) ~= (pinfo.dst_port == port) then
            connection.client = pinfo.src_port == port and there or here
        elseif #bytes > 3 or bytes:find("\n", 1, true) or not can_await then
            local word = bytes:match("^(...)\n")
            connection.client = MESSAGES.server[word or ""] and there or here
        end
    end
    return connection.client and (connection.client == here and "client" or "server")
end

-- "tunnel" or "unparsed" if this part of the stream has no lines, else nil. Packets are dissected in order in the first
-- pass and in any order later, so the place where the lines ended is stored: the frame, and its parts that began with
-- lines. A frame has several parts if it holds several TLS records.
local function stop_at(side, pinfo, bytes)
    local stop = side.stop
    if not stop or pinfo.number < stop.frame then return nil end
    if pinfo.number == stop.frame and stop.parts[bytes] then return nil end
    return stop.instead
end

local function note_part(side, pinfo, bytes)
    if side.frame ~= pinfo.number then side.frame, side.parts = pinfo.number, {} end
    side.parts[bytes] = true
end

local function end_lines(side, pinfo, instead)
    side.stop = side.stop or { frame = pinfo.number, parts = side.parts or {}, instead = instead }
end

-- --- the tree and the columns

local function escaped(text)
    return (text:gsub("%c", function(char) return ("\\x%02x"):format(char:byte()) end))
end

-- The bytes from `first` to `last`, counted from 1 as in Lua.
local function range_of(tvb, first, last) return tvb:range(first - 1, last - first + 1) end

local function show_line(tree, tvb, line)
    local range, proto, value = range_of(tvb, line.first, line.last), line.field.proto, line.value
    if line.field.kind == "integer" or line.field.kind == "timeout" then
        local item = tree:add(proto, range, Int64.new(value))
        if range:string() ~= value then item:add_proto_expert_info(LIBERAL) end
    elseif line.field.kind == "boolean" then
        tree:add(proto, range, value)
    else
        tree:add_packet_field(proto, range, ENC_UTF_8)
        value = escaped(range:string(ENC_UTF_8))
    end
    return line.field.info and line.field.info:format(tostring(value))
end

-- Adds the message, or its first lines, to the tree. Returns its text for the Info column, and the start of the next
-- one.
local function show_message(tree, tvb, lines, fault)
    local last = lines[#lines].last + 1 -- with the LF, if it has come
    local branch = tree:add(MESSAGE, range_of(tvb, lines[1].first, math.min(last, tvb:len())))
    local parts = {}
    for number, line in ipairs(lines) do
        if fault and number == #lines then
            branch:add(UNPARSED, range_of(tvb, line.first, line.last)):add_proto_expert_info(FAULTS[fault][2])
            parts[#parts + 1] = "[" .. FAULTS[fault][1] .. "]"
        else
            parts[#parts + 1] = show_line(branch, tvb, line)
        end
    end
    local info = table.concat(parts, " ")
    branch:set_text(info)
    return info, last + 1
end

-- Adds the bytes from `first` on, which have no lines, to the tree. Returns their item and their text for the Info
-- column.
local function show_rest(tree, tvb, first, instead)
    local proto, name = UNPARSED, "not parsed"
    if instead == "tunnel" then proto, name = TUNNEL, "tunnel" end
    local length = tvb:reported_len() - first + 1
    local info = ("%s, %d %s"):format(name, length, length == 1 and "byte" or "bytes")
    return tree:add(proto, range_of(tvb, first, tvb:len())), info
end

-- --- the dissector

-- Requests the next segment, and a new call with the bytes from `at` on.
local function await_more(pinfo, at)
    pinfo.desegment_offset, pinfo.desegment_len = at - 1, DESEGMENT_ONE_MORE_SEGMENT
end

local function set_columns(pinfo, infos)
    pinfo.cols.protocol = "Netroxy"
    pinfo.cols.info:clear()
    -- Keeps the text of an earlier part of the same packet.
    if tostring(pinfo.cols.info) ~= "" then pinfo.cols.info:append("; ") end
    pinfo.cols.info:append(table.concat(infos, "; "))
    pinfo.cols.info:fence()
end

function netroxy.dissector(tvb, pinfo, root)
    if pinfo.in_error_pkt then return 0 end -- the bytes that an ICMP message quotes are not part of the stream
    local bytes = tvb:raw()
    local can_await = pinfo.can_desegment > 0 -- false if the capture has cut the packet
    local connection = connection_of(pinfo)
    local sender = sender_of(connection, pinfo, bytes, can_await)
    if not sender then
        await_more(pinfo, 1)
        return tvb:len()
    end

    local side, at, infos, tree, cut_off = connection.sides[sender], 1, {}, nil, false
    local function branch()
        tree = tree or root:add(netroxy, tvb(), "Netroxy, from the " .. sender)
        return tree
    end

    local instead = stop_at(side, pinfo, bytes)
    if not instead and not pinfo.visited then note_part(side, pinfo, bytes) end
    while not instead and at <= #bytes do
        local lines, next_start, fault = read_message(bytes, at, sender)
        if next_start or fault then
            infos[#infos + 1], at = show_message(branch(), tvb, lines, fault)
        elseif can_await then
            await_more(pinfo, at)
            break
        else
            cut_off = true
        end
        if fault or cut_off then
            instead = "unparsed"
        elseif lines[1].value == "TRS" then
            instead = "tunnel"
            end_lines(connection.sides.server, pinfo, instead)
        end
        if instead then end_lines(side, pinfo, instead) end
    end
    if instead and at <= #bytes then
        local item
        item, infos[#infos + 1] = show_rest(branch(), tvb, at, instead)
        if cut_off then item:add_proto_expert_info(CUT_OFF) end
    end
    if tree then set_columns(pinfo, infos) end
    return tvb:len()
end

local tcp_ports = DissectorTable.get("tcp.port")
tcp_ports:add_for_decode_as(netroxy)
DissectorTable.get("tls.port"):add_for_decode_as(netroxy)

local registered = 0
local function register()
    if registered ~= 0 then tcp_ports:remove(registered, netroxy) end
    registered = netroxy.prefs.port
    if registered ~= 0 then tcp_ports:add(registered, netroxy) end
end

netroxy.prefs_changed = register
register()
