-- a copy of a database tells nobody anything
UPDATE usage_endpoint
   SET state = 'paused',
       open_until = NULL;
