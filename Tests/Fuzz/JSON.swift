import PortcullisCore
import PortcullisWire

/// The bytes are a JSON text. One that is accepted says the same when it is written anew from what was read, and nothing of it but the
/// whole is a text of its own.
@_cdecl("LLVMFuzzerTestOneInput") public func fuzzJSON(_ data: UnsafePointer<UInt8>?, _ size: Int) -> CInt {
    let bytes = input(data, size)
    var fresh = StrictJSON()
    guard accepts(&parser, bytes) else {
        precondition(parser.nodes.isEmpty)
        precondition(!accepts(&fresh, bytes))
        return 0
    }
    precondition(accepts(&fresh, bytes) && fresh.nodes == parser.nodes)
    precondition(String(validating: bytes, as: UTF8.self) != nil)
    let first = parser
    var again: [UInt8] = []
    write(first, 0, bytes, &again)
    precondition(accepts(&fresh, again), "what was written anew is not read")
    precondition(fresh.nodes.map(\.kind) == first.nodes.map(\.kind))
    for node in first.nodes.indices {
        precondition(first.string(node, in: bytes.span) == fresh.string(node, in: again.span))
        precondition(first.number(node, in: bytes.span) == fresh.number(node, in: again.span))
        precondition(first.bool(node, in: bytes.span) == fresh.bool(node, in: again.span))
        let alone = first.json(node, in: bytes.span)
        var part = StrictJSON()
        precondition(accepts(&part, alone), "a value within a text is none by itself")
        if let number = first.number(node, in: bytes.span) {
            precondition(number == Double(String(decoding: alone, as: UTF8.self)), "a number is another")
        }
        if let integer = first.integer(node, in: bytes.span) {
            precondition(integer == Int64(String(decoding: alone, as: UTF8.self)), "an integer is another")
        }
    }
    // Without its last byte a text in brackets or quotes is none.
    if [.object, .array, .string].contains(first.nodes[0].kind) {
        precondition(!accepts(&fresh, Array(again.dropLast())))
    }
    precondition(!accepts(&fresh, again + [UInt8(ascii: ",")]))
    return 0
}

private func accepts(_ json: inout StrictJSON, _ bytes: [UInt8]) -> Bool {
    do {
        try json.parse(bytes.span)
        return true
    } catch {
        return false
    }
}

private func write(_ json: StrictJSON, _ node: Int, _ bytes: [UInt8], _ text: inout [UInt8]) {
    switch json.kind(of: node) {
    case .object:
        text.append(UInt8(ascii: "{"))
        for (index, member) in json.members(of: node).enumerated() {
            if index > 0 { text.append(UInt8(ascii: ",")) }
            write(json, member.name, bytes, &text)
            text.append(UInt8(ascii: ":"))
            write(json, member.value, bytes, &text)
        }
        text.append(UInt8(ascii: "}"))
    case .array:
        text.append(UInt8(ascii: "["))
        for (index, element) in json.elements(of: node).enumerated() {
            if index > 0 { text.append(UInt8(ascii: ",")) }
            write(json, element, bytes, &text)
        }
        text.append(UInt8(ascii: "]"))
    case .string:
        guard let string = json.string(node, in: bytes.span) else { preconditionFailure("a string without a value") }
        var builder = JSONBuilder()
        builder.value(string)
        text += builder.bytes
    case .number, .bool, .null: text += json.raw(node, in: bytes.span)
    }
}

// libFuzzer calls from one thread.
private nonisolated(unsafe) var parser = StrictJSON()
