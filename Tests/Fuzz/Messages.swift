import PortcullisCore
import PortcullisWire

/// The bytes are a text message of a client. What is read says the same when it is written anew; whatever is answered, or relayed to
/// others, is one JSON object that they can read.
@_cdecl("LLVMFuzzerTestOneInput") public func fuzzMessages(_ data: UnsafePointer<UInt8>?, _ size: Int) -> CInt {
    let bytes = input(data, size)
    let verdict = read(bytes, &parser)
    var fresh = StrictJSON(maximumDepth: 32)
    precondition(read(bytes, &fresh) == verdict, "a parser remembers")
    switch verdict {
    case .failure(let refusal):
        check(ServerMessage.error(refusal), ref: refusal.ref)
    case .success(let message):
        precondition(read(write(message), &fresh) == verdict, "a message says something else when it is written anew")
        switch message {
        case .authenticate: break
        case .refresh(_, let ref): check(ServerMessage.error(MessageRefusal(.forbidden, "no", ref: ref)), ref: ref)
        case .join(let resource, let ref):
            precondition(resource.isWellFormed)
            check(ServerMessage.joined(resource: resource, role: viewer, roles: .standard, ref: ref), ref: ref)
        case .leave(let resource, let ref):
            precondition(resource.isWellFormed)
            check(ServerMessage.left(resource: resource, ref: ref), ref: ref)
        case .publish(let resource, let data, let ref):
            precondition(resource?.isWellFormed ?? true)
            precondition(data.count <= bytes.count, "more is relayed than came")
            let relayed = RoomMessage(user: "alice", .json(data))
            let again = try? RoomMessage.decode(relayed.encode(), limit: bytes.count, &fresh)
            precondition(again == relayed, "another gate reads something else")
            var sent: [UInt8] = []
            ServerMessage.appendMessage(resource: "doc:1", user: "alice", connection: nil, .json(data), to: &sent)
            check(sent, ref: nil)
            check(ServerMessage.error(MessageRefusal(.forbidden, "no", ref: ref)), ref: ref)
        }
    }
    return 0
}

private func read(_ bytes: [UInt8], _ json: inout StrictJSON) -> Result<ClientMessage, MessageRefusal> {
    do throws(MessageRefusal) {
        return .success(try ClientMessage.decode(bytes, &json))
    } catch {
        return .failure(error)
    }
}

private func write(_ message: ClientMessage) -> [UInt8] {
    JSONBuilder.object { json in
        func reference(_ ref: [UInt8]?) {
            if let ref { json.member("ref", json: ref) }
        }
        switch message {
        case .authenticate(let token):
            json.member("type", "authenticate")
            json.member("token", Identifier(bytes: token))
        case .refresh(let token, let ref):
            json.member("type", "refresh")
            json.member("token", Identifier(bytes: token))
            reference(ref)
        case .join(let resource, let ref):
            json.member("type", "join")
            json.member("resource", resource)
            reference(ref)
        case .leave(let resource, let ref):
            json.member("type", "leave")
            json.member("resource", resource)
            reference(ref)
        case .publish(let resource, let data, let ref):
            json.member("type", "publish")
            if let resource { json.member("resource", resource) }
            json.member("data", json: data)
            reference(ref)
        }
    }
}

/// One object, no member twice, `ref` as it came.
private func check(_ message: [UInt8], ref: [UInt8]?) {
    var json = StrictJSON(maximumDepth: 32)
    guard (try? json.parse(message.span)) != nil, json.kind(of: 0) == .object else {
        preconditionFailure("an answer is no JSON object")
    }
    guard let ref else { return }
    guard let node = json.member("ref", in: message.span) else { preconditionFailure("the ref is lost") }
    precondition(json.json(node, in: message.span) == ref, "the ref is another")
}

private let viewer = RoleOrder.standard.viewer
// libFuzzer calls from one thread.
private nonisolated(unsafe) var parser = StrictJSON(maximumDepth: 32)
