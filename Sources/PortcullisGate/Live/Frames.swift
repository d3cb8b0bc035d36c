import PortcullisCore
import PortcullisReactor
import PortcullisWire

/// What a live connection sends.
extension GateLoop {
    /// One pong may wait: a client that does not read gets no more (RFC 6455, section 5.5.3 allows to answer the last ping only).
    func pong(_ stream: StreamID, _ payload: [UInt8]) {
        guard engine.queued(stream) == 0 else { return }
        output.removeAll(keepingCapacity: true)
        FrameWriter.appendPong(payload.span, to: &output)
        engine.send(stream, output)
    }

    /// The client closes: its code goes back to it (RFC 6455, section 5.5.1).
    func closeReceived(_ slot: UInt32, _ code: UInt16?) {
        output.removeAll(keepingCapacity: true)
        FrameWriter.appendClose(code: code, reason: [UInt8]().span, to: &output)
        end(slot, output, code: code ?? 1005, reason: Outcome.bye.rawValue)
    }

    func messageReceived(_ slot: UInt32, _ kind: MessageKind, _ payload: [UInt8]) {
        if sessions?.touches == true { sessionUsed(slot) }
        guard lives[Int(slot)].isVersion1 else { return relayRaw(slot, kind, payload) }
        guard kind == .text else {
            return condemn(slot, Closing(.unsupportedData))
        }
        do throws(MessageRefusal) {
            try act(slot, try ClientMessage.decode(payload, &json))
        } catch {
            say(slot, ServerMessage.error(error))
        }
    }

    private func act(_ slot: UInt32, _ message: ClientMessage) throws(MessageRefusal) {
        switch message {
        case .publish(let resource, let data, let ref):
            guard let resource = resource ?? lives[Int(slot)].resource else {
                throw MessageRefusal(
                    .badResource,
                    "`publish` names a resource on a connection that is bound to none.",
                    ref: ref
                )
            }
            guard let membership = rooms.membership(slot, resource) else {
                throw MessageRefusal(.notAMember, "The connection is no member of the resource.", ref: ref)
            }
            guard membership.role >= configuration.roles.editor else {
                throw MessageRefusal(.forbidden, "Publishing needs the role editor.", ref: ref)
            }
            relay(slot, resource, .json(data))
        case .join(let resource, let ref): try join(slot, resource, ref)
        case .leave(let resource, let ref): try leave(slot, resource, ref)
        case .refresh(let token, let ref): try refresh(slot, token, ref: ref)
        case .authenticate:
            throw MessageRefusal(.badMessage, "The connection has a credential: send another one as `refresh`.")
        }
    }

    /// Sends a `portcullis.v1` message about the connection itself. During a freeze it is kept for the thaw.
    func say(_ slot: UInt32, _ message: [UInt8]) {
        guard mayServe(slot) else {
            held[slot, default: HeldMessages()].append(message)
            return
        }
        output.removeAll(keepingCapacity: true)
        FrameWriter.append(.text, message.span, to: &output)
        push(slot, output)
    }

    /// Writes frames to a live connection; one that does not read them is closed. During a freeze they are lost: `missed` says so.
    func push(_ slot: UInt32, _ frames: [UInt8]) {
        guard lives[Int(slot)].phase == .live, mayServe(slot) else { return }
        let stream = stream(slot)
        engine.send(stream, frames)
        if engine.queued(stream) > configuration.sendQueue {
            condemn(slot, Closing(.slowConsumer, retryAfter: configuration.drainRetryAfter))
        }
    }
}
