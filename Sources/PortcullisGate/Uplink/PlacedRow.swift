import PortcullisCore
import PortcullisRedis
import PortcullisWire

/// A row of a page, where it stands in the reply: of the log, its list of fields; of the standing decisions, its id.
struct PlacedRow {
    /// nil: of the standing decisions.
    let position: LogPosition?
    let place: Int

    /// The decision where it is written as nearly all are; nil: it must be read in full.
    func plain(_ reply: RESPReply, _ bytes: Span<UInt8>) -> PlainDecision? {
        let (key, order, event): (Range<Int>, Int64, PlainEvent)
        if position == nil {
            guard let name = reply.string(at: place), let stored = reply.string(at: place + 1),
                let entry = PlainEvent.standing(bytes, stored)
            else { return nil }
            (key, order, event) = (name, entry.order, entry.event)
        } else {
            let fields = LogFields(reply, place)
            guard fields.version == nil, let name = fields.key, let json = fields.event,
                let number = fields.order.flatMap({ PlainEvent.integer(bytes, $0) }),
                let read = PlainEvent(bytes, json)
            else { return nil }
            (key, order, event) = (name, number, read)
        }
        guard PlainEvent.isPlainID(bytes, key), event.event.map({ Self.same(bytes, $0, key) }) ?? true else {
            return nil
        }
        return event.decision(key: key, order: order)
    }

    private static func same(_ bytes: Span<UInt8>, _ left: Range<Int>, _ right: Range<Int>) -> Bool {
        guard left.count == right.count else { return false }
        for at in 0..<left.count where bytes[left.lowerBound + at] != bytes[right.lowerBound + at] { return false }
        return true
    }
}

/// The fields of an entry of the log that are known here; of one that stands twice, the last.
struct LogFields {
    var event: Range<Int>?
    var key: Range<Int>?
    var order: Range<Int>?
    var version: Range<Int>?

    init(_ reply: RESPReply, _ place: Int) {
        guard let count = reply.list(at: place), count > 1 else { return }
        for at in stride(from: place + 1, to: place + count, by: 2) {
            guard let name = reply.string(at: at), let value = reply.string(at: at + 1) else { continue }
            if name.count != 1 {
                if reply.bytes[name].elementsEqual("version".utf8) { version = value }
                continue
            }
            switch reply.bytes[name.lowerBound] {
            case UInt8(ascii: "e"): event = value
            case UInt8(ascii: "i"): key = value
            case UInt8(ascii: "o"): order = value
            default: break
            }
        }
    }
}

extension RESPReply {
    /// A string's bytes as text.
    func text(_ range: Range<Int>) -> String {
        String(decoding: bytes[range], as: UTF8.self)
    }
}
