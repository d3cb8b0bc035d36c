public import PortcullisCore

/// The one script that appends a decision to the log (redis.md, *The revocation log*).
public enum AppendScript {
    /// KEYS: log, order, seen:<event id>, standing, epoch, events channel's name is an argument, then for a `permit` perm:<user>, for a
    /// `revoke` of exactly one token or token hash the shared key.
    ///
    /// ARGV: event (JSON), event id, order (or empty), retention in ms, longest session in ms, channel, longest token life in ms, a
    /// random value for a new epoch.
    ///
    /// Reply: `{stream id, order, "appended" | "repeated" | "stale", version or "", failure or ""}`.
    public static let text = """
        local log, order_key, seen, standing, epoch, extra = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
        local json, id, given, channel = ARGV[1], ARGV[2], ARGV[3], ARGV[6]
        local retention, longest_session = tonumber(ARGV[4]), tonumber(ARGV[5])
        if redis.replicate_commands then redis.replicate_commands() end
        if not (log and order_key and seen and standing and epoch and json and channel and retention and longest_session)
          or not id or id == '' then
          return redis.error_reply('BADEVENT an argument is missing')
        end
        if #json > 65536 then return redis.error_reply('BADEVENT the event is larger than 64 KiB') end
        local read, event = pcall(cjson.decode, json)
        if not read or type(event) ~= 'table' or event.v ~= 1 or type(event.type) ~= 'string' then
          return redis.error_reply('BADEVENT the event is no JSON object with v 1 and a type')
        end
        local kind, select = event.type, event.select
        local selects = kind == 'revoke' or kind == 'block' or kind == 'unblock' or kind == 'reauthenticate'
        if selects and (type(select) ~= 'table' or next(select) == nil) then
          return redis.error_reply('BADEVENT the selector is missing or empty')
        end
        if not selects and kind ~= 'permit' and kind ~= 'lift' then
          return redis.error_reply('BADEVENT an event of this type is not logged')
        end
        if kind == 'lift' and type(event.decision) ~= 'string' then
          return redis.error_reply('BADEVENT a lift names the decision')
        end
        if kind == 'permit' and (not extra or type(event.resource) ~= 'string' or type(event.user) ~= 'string') then
          return redis.error_reply('BADEVENT a permit has a user and a resource')
        end
        local wanted_version = kind == 'permit' and type(event.version) == 'number' and event.version
        if wanted_version and not (wanted_version >= 1 and wanted_version <= 1e15 and wanted_version % 1 == 0) then
          return redis.error_reply('BADEVENT the version of a permit is a whole number from 1 to 10^15')
        end

        -- What a script did before an error stays: what could fail in the middle is looked at before anything is written.
        local kinds = {[log] = 'stream', [standing] = 'hash'}
        kinds[order_key], kinds[seen], kinds[epoch] = 'string', 'string', 'string'
        if kind == 'permit' then kinds[extra] = 'hash' end
        for key, wanted in pairs(kinds) do
          local found = redis.call('TYPE', key).ok
          if found ~= 'none' and found ~= wanted then
            return redis.error_reply('WRONGTYPE ' .. key .. ' is no ' .. wanted .. ' but a ' .. found)
          end
        end

        local time = redis.call('TIME')
        local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
        local newest = redis.call('XREVRANGE', log, '+', '-', 'COUNT', 1)
        local previous = newest[1] and newest[1][1] or '0-0'
        -- Gates take no order that is further ahead: one that was forged would cover all that is ever issued. Ids of the log never go
        -- back, whatever Redis' clock does.
        local latest = math.max(now, tonumber(string.match(previous, '^(%d+)'))) + 3600000
        local order = tonumber(given)
        if given ~= '' and not (order and order >= 0 and order <= latest and order % 1 == 0) then
          return redis.error_reply('BADEVENT the order of a copy is a whole number, at most an hour ahead of the clock')
        end
        -- The same payload published again later is a new decision: an id made of a payload is a repeat for two seconds only.
        local known = redis.call('GET', seen)
        if known then
          local at = string.find(known, ' ', 1, true)
          local entry, order = string.sub(known, 1, at - 1), string.sub(known, at + 1)
          if given ~= '' then
            -- A copy repeats what is there; where the log was deleted and the mark was not, it is put back.
            if redis.call('XRANGE', log, entry, entry)[1] then return {entry, order, 'repeated', '', ''} end
          elseif string.sub(id, 1, 2) ~= 'h:' or now - tonumber(order) <= 2000 then
            return {entry, order, 'repeated', '', ''}
          end
        end

        local version = ''
        if kind == 'permit' then
          local stored = redis.call('HGET', extra, event.resource)
          local last = stored and tonumber(string.match(stored, '^(%d+):')) or 0
          -- Written by hand: beyond it numbers are not told apart.
          if last > 2e15 then last = 0 end
          if wanted_version then
            if wanted_version <= last then return {'', '', 'stale', string.format('%.0f', last), ''} end
            last = wanted_version - 1
          end
          version = string.format('%.0f', last + 1)
        end

        local last_order = tonumber(redis.call('GET', order_key) or '0') or 0
        -- Not a number, or written by hand.
        if not (last_order >= 0 and last_order <= latest) then last_order = 0 end
        if not order then order = math.max(now, last_order + 1) end
        local order_text = string.format('%.0f', order)
        local fields = {'e', json, 'i', id, 'o', order_text}
        if version ~= '' then fields[7], fields[8] = 'version', version end
        redis.call('SET', epoch, ARGV[8], 'NX')
        local entry = redis.call('XADD', log, '*', unpack(fields))
        -- Also behind a copy: after a flush the copies are what is left of the orders that were given.
        if order > last_order then redis.call('SET', order_key, order_text) end
        redis.call('SET', seen, entry .. ' ' .. order_text, 'PX', math.min(retention, 3600000))

        if kind == 'permit' then
          local role = type(event.role) == 'string' and event.role or ''
          redis.call('HSET', extra, event.resource, version .. ':' .. role)
        end
        local outlives = kind == 'block' or kind == 'unblock'
          or ((kind == 'revoke' or kind == 'reauthenticate') and not select.token and not select.token_hash)
        if outlives then
          redis.call('HSET', standing, id, '{"o":' .. order_text .. ',"event":' .. json .. '}')
        end

        -- What is lifted must not come back once the log has forgotten the lift.
        -- A later decision of the same id, of a payload that was published anew, is another one.
        if kind == 'lift' then
          local held = redis.call('HGET', standing, event.decision)
          local held_order = held and tonumber(string.match(held, '^{"o":(%d+)')) or 0
          if held_order <= order then redis.call('HDEL', standing, event.decision) end
        end

        local message = '{"id":"' .. entry .. '","prev":"' .. previous .. '","i":' .. cjson.encode(id)
          .. ',"o":' .. order_text
        if version ~= '' then message = message .. ',"version":' .. version end
        redis.call('PUBLISH', channel, message .. ',"event":' .. json .. '}')

        local failure = ''
        if kind == 'revoke' and extra then
          local shared = redis.pcall('SET', extra, '1', 'PX', tonumber(ARGV[7]))
          if type(shared) == 'table' and shared.err then failure = shared.err end
        end
        redis.call('XTRIM', log, 'MINID', '~', string.format('%.0f', math.max(0, now - retention)))
        return {entry, order_text, 'appended', version, failure}
        """

    /// The script with what a caller in any language must know, as Lua.
    public static var documented: String {
        """
        -- Appends a decision to the revocation log of Portcullis and tells all gates of it.
        --
        -- KEYS, with P for the prefix (portcullis:):
        --   P:log  P:order  P:seen:<event id>  P:standing  P:epoch
        --   and a sixth: for a permit P:perm:<user>; for a revoke of exactly one token revoked:<jti>, of one hash jwt_blacklist:<hash>
        -- ARGV:
        --   the event (JSON), the event id, '' (the order of a copy), the log's retention in ms, the longest life of a session in ms,
        --   P:events, the longest life of a token in ms, a random text
        -- Reply: {id in the log, order, 'appended' | 'repeated' | 'stale', version of a permit, why the sixth key could not be written}
        --
        -- It appends all or nothing; an event id that is known already is answered with the place it has, so it may be tried again.

        """ + text
    }

    /// What the script is told about the deployment.
    public struct Policy: Equatable, Sendable {
        public var retention: Milliseconds
        public var longestSession: Milliseconds
        public var longestToken: Milliseconds

        public init(
            retention: Milliseconds = .seconds(25 * 3600),
            longestSession: Milliseconds = .seconds(30 * 86400),
            longestToken: Milliseconds = .seconds(24 * 3600)
        ) {
            self.retention = retention
            self.longestSession = longestSession
            self.longestToken = longestToken
        }
    }

    /// The command that appends an event.
    ///
    /// - Parameters:
    ///   - json: the event, verbatim.
    ///   - id: its id, or the one that stands for it.
    ///   - order: of a copy, the order that the decision has; nil: the next.
    ///   - epoch: a random value, taken where the log is new.
    public static func command(
        _ event: Event,
        json: [UInt8],
        id: Identifier,
        order: Int64? = nil,
        epoch: String,
        keys: Keys,
        policy: Policy
    ) -> Command {
        var names = [keys.log, keys.order].map { Array($0.utf8) }
        names.append(keys.seen(id))
        names += [keys.standing, keys.epoch].map { Array($0.utf8) }
        switch event.decision {
        case .permit(let permit): names.append(keys.permissions(of: permit.user))
        case .revoke(let revocation): if let shared = sharedKey(revocation) { names.append(shared) }
        default: break
        }
        let words: [[UInt8]] =
            [Array("EVAL".utf8), Array(text.utf8), Array(String(names.count).utf8)] + names + [
                json, id.bytes, order.map { Array(String($0).utf8) } ?? [], decimal(policy.retention),
                decimal(policy.longestSession),
                Array(keys.events.utf8), decimal(policy.longestToken), Array(epoch.utf8),
            ]
        return Command(words)
    }

    /// The key that plain HTTP services look at (redis.md, *Keys that other services share*); only for exactly one token or hash.
    private static func sharedKey(_ revocation: Decision.Revocation) -> [UInt8]? {
        let ids = revocation.select.ids
        guard ids.count == 1, revocation.select.network == nil, revocation.except == nil else { return nil }
        if let token = ids[.token] { return SharedKeys.revoked(token) }
        if let hash = ids[.tokenHash] { return SharedKeys.blacklisted(hash) }
        return nil
    }

    private static func decimal(_ span: Milliseconds) -> [UInt8] {
        Array(String(span.count).utf8)
    }

    /// What the script answered.
    public enum Answer: Equatable, Sendable {
        case appended(position: String, order: Int64, failure: String?)
        /// The event is in the log already.
        case repeated(position: String, order: Int64)
        /// A `permit` whose version is not greater than the stored one.
        case stale(version: String)
        case refused(String)

        public init(_ reply: RESPValue) {
            if let error = reply.errorText {
                self = .refused(error)
                return
            }
            guard let parts = reply.array, parts.count == 5, let position = parts[0].text, let order = parts[1].text,
                let what = parts[2].text
            else {
                self = .refused("Redis answered the append script with something else.")
                return
            }
            switch what {
            case "appended":
                let failure = parts[4].text.flatMap { $0.isEmpty ? nil : $0 }
                self = .appended(position: position, order: Int64(order) ?? 0, failure: failure)
            case "repeated": self = .repeated(position: position, order: Int64(order) ?? 0)
            default: self = .stale(version: parts[3].text ?? "")
            }
        }
    }
}
