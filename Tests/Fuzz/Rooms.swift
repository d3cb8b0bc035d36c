import PortcullisCore
import PortcullisWire

/// The bytes are what somebody published on a room's channel. A message that is read says the same when it is written and read again, and
/// what members are sent of it is one JSON object.
@_cdecl("LLVMFuzzerTestOneInput") public func fuzzRooms(_ data: UnsafePointer<UInt8>?, _ size: Int) -> CInt {
    let bytes = input(data, size)
    guard let message = read(bytes, &parser) else { return 0 }
    var fresh = StrictJSON(maximumDepth: 32)
    precondition(read(bytes, &fresh) == message, "a parser remembers")
    let content: [UInt8] =
        switch message.content {
        case .text(let text): text
        case .json(let data): data
        case .binary(let bytes): bytes
        case .missed, .joined, .left: []
        }
    precondition(content.count <= limit)
    if case .text(let text) = message.content { precondition(String(validating: text, as: UTF8.self) != nil) }
    precondition(message.user?.isWellFormed ?? (message.content == .missed))
    let written = message.encode()
    precondition(read(written, &fresh) == message, "a message says something else when it is written and read again")
    if message.at == nil {
        let at = LogPosition(milliseconds: 1_767_268_800_000, sequence: 7)
        var expected = message
        expected.at = at
        precondition(read(RoomMessage.placed(written, at: at, isDelivered: false), &fresh) == expected)
    }
    var sent: [UInt8] = []
    ServerMessage.appendMessage(
        resource: Identifier("doc:1"),
        user: message.user,
        connection: message.connection,
        message.content,
        to: &sent
    )
    precondition((try? fresh.parse(sent.span)) != nil && fresh.kind(of: 0) == .object, "members are sent no JSON")
    return 0
}

private func read(_ bytes: [UInt8], _ json: inout StrictJSON) -> RoomMessage? {
    try? RoomMessage.decode(bytes, limit: limit, &json)
}

private let limit = 300
// libFuzzer calls from one thread.
private nonisolated(unsafe) var parser = StrictJSON(maximumDepth: 32)
