-- After all functions, where plain SQL becomes the extension: the triggers that add_job_on_change has made go with it.
DO $$
BEGIN
    PERFORM @extschema@._go_with_extension(c.trigger_name)
    FROM @extschema@.change_trigger AS c
    WHERE @extschema@._change_function(c.trigger_name) IS NOT NULL;
END
$$;
