-- The inbox of a user, for the other services.

-- Puts a notification into a user's inbox, in the caller's transaction, and returns its id.
CREATE OR REPLACE FUNCTION notify_user(p_user_id UUID, p_type TEXT, p_title TEXT, p_message TEXT, p_link TEXT)
RETURNS UUID
LANGUAGE sql
AS $$
    INSERT INTO notifications (user_id, type, title, message, link)
    VALUES (p_user_id, p_type, p_title, p_message, p_link)
    RETURNING id
$$;
