import PortcullisCore
import PortcullisReactor
import PortcullisWire

/// Connections whose credential comes as their first message (`tokens.sources: first_message`): nothing else is served before it.
extension GateLoop {
    /// Frames that may come at once before anybody has vouched for the client: pings, and the message.
    private static let mostFirstFrames = 64

    /// Answers the opening and waits for the credential.
    func awaitFirstMessage(
        _ stream: StreamID,
        _ bytes: Span<UInt8>,
        _ pending: PendingHandshake
    ) throws(Refusal) {
        guard let request = pending.request, let length = pending.headLength else {
            throw Refusal(.badRequest, "the handshake is out of order")
        }
        output.removeAll(keepingCapacity: true)
        appendUpgrade(request, pending.subprotocol, bytes)
        pending.isUpgraded = true
        pending.bytes = []
        pending.headLength = 0
        lives[Int(stream.slot)].pending = pending
        lives[Int(stream.slot)].phase = .authenticating
        engine.send(stream, output)
        wheel.set(stream.slot, at: now + configuration.handshake)
        if bytes.count > length { firstMessageReceived(stream, bytes.extracting(length..<bytes.count)) }
    }

    func firstMessageReceived(_ stream: StreamID, _ bytes: Span<UInt8>) {
        let slot = Int(stream.slot)
        var at = 0
        var frames = 0
        while isCurrent(stream), lives[slot].phase == .authenticating {
            frames += 1
            guard frames <= Self.mostFirstFrames else {
                return refuse(stream, Refusal(.badRequest, "too many frames came before the first message"))
            }
            switch firstFrameReader.next(bytes, &at, &lives[slot].frames) {
            case .needMore: return
            case .ping(let payload): pong(stream, payload)
            case .pong: break
            case .close: refuse(stream, Refusal(.bye, "the client closed before it authenticated"))
            case .failed(let outcome): refuse(stream, Refusal(outcome, "the first message broke a rule"))
            case .message(let kind, let payload): authenticate(stream, kind, payload)
            }
        }
        guard at < bytes.count, isCurrent(stream) else { return }
        let rest = bytes.extracting(at..<bytes.count)
        switch lives[slot].phase {
        case .verifying, .asking: keepEarly(stream, rest)
        case .live: framesReceived(stream, rest)
        case .vacant, .head, .authenticating, .closing: break
        }
    }

    private func authenticate(_ stream: StreamID, _ kind: MessageKind, _ payload: [UInt8]) {
        guard let pending = lives[Int(stream.slot)].pending else { return }
        do throws(Refusal) {
            guard !isDraining else { throw Refusal(.draining, "the gate is shutting down") }
            guard canVouch else { throw Refusal(.cannotVouch, "the view of revocations is not confirmed") }
            pending.kind = .token
            let (token, bytes) = (try token(kind, payload), pending.bytes)
            try tokenShown(stream, bytes.span, pending, token)
        } catch {
            refuse(stream, error, pending)
        }
    }

    private func token(_ kind: MessageKind, _ payload: [UInt8]) throws(Refusal) -> [UInt8] {
        do throws(MessageRefusal) {
            if kind == .text, case .authenticate(let token) = try ClientMessage.decode(payload, &json) { return token }
        } catch {}
        throw Refusal(.missingCredential, "the first message is not `authenticate` with a token")
    }
}
